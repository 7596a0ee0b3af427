//! Where a coordinator is, for all who dial it.

use crate::clock;
use crate::cluster::Coordinator;
use crate::ids::Service;
use crate::net::dial::Place;
use crate::net::host::Choice;
use crate::net::stream::Stream;
use crate::serve::fleet::shared::Fleet;

impl<S: Stream> Fleet<S> {
    /// What a port of a coordinator is dialed by. Whoever has dialed it calls [`Self::note_whereabouts`].
    pub(in crate::serve) fn place(&self, coordinator: &Coordinator, port: u16) -> Place {
        let host = self.watched(coordinator).map(|watched| watched.host.clone());
        Place { host: host.unwrap_or_else(|| coordinator.host.as_str().into()), port }
    }

    /// Takes in where a dial has found a coordinator. At another address than before another process answers: what was open at
    /// the former one is gone, and so are links that lead there.
    pub(in crate::serve) fn note_whereabouts(&self, coordinator: &Coordinator) {
        let news = self.watched(coordinator).and_then(|watched| watched.host.take_news());
        let Some(Choice { address, others, is_another }) = news else { return };
        let (cluster, name, host) = (&self.cluster.name, &coordinator.name, &coordinator.host);
        if is_another {
            tracing::warn!(
                %cluster, coordinator = %name, host, %address,
                "coordinator is lost where it was, and its name leads to another address now: sessions that it had are \
                 opened again there or elsewhere, or their clients are told"
            );
            let now = clock::now();
            coordinator.note_moved(now);
            self.note_process_ended(coordinator, |_| true);
            for service in Service::ALL {
                if let Some(port) = self.port(coordinator, service) {
                    port.look_after(now);
                }
            }
            self.askings.forget_unknown();
        }
        if !others.is_empty() {
            tracing::warn!(
                %cluster, coordinator = %name, host, %address, ?others,
                "coordinator's name stands for several hosts, of which only one is used as long as it can be reached: list \
                 each as a coordinator, by a name or an address of its own"
            );
        }
    }
}
