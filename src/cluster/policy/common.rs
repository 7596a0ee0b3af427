//! What the policies and the judging of coordinators have in common.

use std::sync::Arc;

use super::super::Coordinator;
use super::super::pick::Candidate;

/// Who was picked, and why.
pub(super) type Found<'a> = (&'a Arc<Coordinator>, Candidate);

/// What a failure costs with a coordinator of this score, if it costs so much without. In powers of two, so
/// that it rarely changes: all places go by it.
pub(in crate::cluster) fn failure_cost(without: f64, score: f64) -> f64 {
    if score <= without { without } else { score.log2().ceil().exp2() }
}

/// Whether so few of the coordinators that people want used are fit that the checker is more likely to be
/// wrong than so many coordinators: its ejections count for nothing then. What a coordinator says of itself
/// stands.
pub(in crate::cluster) fn is_doubtful(fit: usize, all: usize, panic_threshold: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "at most u32::MAX coordinators")]
    let (fit, all) = (fit as f64, all as f64);
    fit < panic_threshold * all
}
