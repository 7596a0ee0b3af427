//! Where a coordinator is, for all who dial it.

use crate::clock;
use crate::cluster::Coordinator;
use crate::net::host::Choice;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;

impl<S: Stream> Fleet<S> {
    /// Takes in where a dial has found a coordinator. At another address than before another process answers: what was open at
    /// the former one is gone, and so are links that lead there.
    pub(crate) fn note_whereabouts(&self, coordinator: &Coordinator) {
        let Some(member) = self.member(coordinator.id) else { return };
        let Some(Choice { address, others, is_another }) = member.host.take_news() else { return };
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
            member.ports.values().for_each(|port| port.look_after(now));
            self.lookups.forget_unknown();
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
