//! Notices at which address a coordinator is found, for everything that dials it.

use crate::clock;
use crate::cluster::Coordinator;
use crate::net::host::Choice;
use crate::net::stream::Stream;
use crate::serve::fleet::Fleet;

impl<S: Stream> Fleet<S> {
    /// Records at which address a dial has found a coordinator. A new address means that another process
    /// answers: what was open at the old address is lost, and so are the links that lead there.
    pub(crate) fn note_whereabouts(&self, coordinator: &Coordinator) {
        let Some(member) = self.member(coordinator.id) else { return };
        let Some(Choice { address, others, is_another }) = member.host.take_news() else { return };
        let (cluster, name, host) = (&self.cluster.name, &coordinator.name, &coordinator.host);
        if is_another {
            tracing::warn!(
                %cluster, coordinator = %name, host, %address,
                "coordinator was lost at its old address, and its name now leads to another address: its sessions are reopened \
                 there or elsewhere, or their clients get an error"
            );
            let now = clock::now();
            coordinator.note_moved(now);
            self.note_process_ended(coordinator, |_, _| true);
            member.ports.values().for_each(|port| port.look_after(now));
            self.lookups.forget_unknown();
        }
        if !others.is_empty() {
            tracing::warn!(
                %cluster, coordinator = %name, host, %address, ?others,
                "coordinator's name stands for several hosts, and only one of them is used while it can be reached: list \
                 each host as a coordinator, by a name or an address of its own"
            );
        }
    }
}
