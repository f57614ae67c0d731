//! What both backends do with what they read, and with what they are given. Pure.

use std::collections::BTreeMap;

use crate::quota::{Label, Run, SpaceAllocation, TenantId};

/// The newest answer of each tenant, out of the newest run of each of its types.
pub(super) fn newest_answers(newest: BTreeMap<TenantId, Vec<Run>>) -> Vec<(TenantId, SpaceAllocation)> {
    newest.into_iter().filter_map(|(tenant, runs)| Some((tenant, newest_answer(runs.iter())?))).collect()
}

/// The newest answer of a tenant, out of runs with the newest one of each of its types among them.
///
/// The newest sample is at the last instant that any run knows of. A type that it listed was last seen then; one that it no longer
/// listed ended then or before.
pub(super) fn newest_answer<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Option<SpaceAllocation> {
    let observed_at = runs.clone().map(|run| run.ended_at.unwrap_or(run.last_at).max(run.last_at)).max()?;
    let listed = runs.filter(|run| run.last_at == observed_at).map(Run::value).collect();
    Some(SpaceAllocation::new(observed_at, listed))
}

/// Labels out of a JSON object, sorted by key.
pub(super) fn labels_from_json(text: &str) -> Result<Vec<Label>, serde_json::Error> {
    let labels: BTreeMap<String, String> = serde_json::from_str(text)?;
    Ok(labels.into_iter().map(|(key, value)| Label { key, value }).collect())
}

/// Labels as a JSON object.
pub(super) fn labels_as_json(labels: &[Label]) -> serde_json::Value {
    labels.iter().map(|label| (label.key.clone(), label.value.clone().into())).collect::<serde_json::Map<_, _>>().into()
}
