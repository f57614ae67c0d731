//! Reading the log of changes.

use std::ops::RangeInclusive;

use futures_util::{Stream, TryStreamExt as _};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Session, Statement};
use crate::quota::TimeRange;
use crate::quota::fleet::{Change, Opening, day_of, millis};
use crate::store::error::Failure;
use crate::store::fleet::{FleetMark, FleetPart, corrupt};

/// A transaction that sees the log of changes as it is at one moment.
pub(in crate::store) trait FleetSession: Session {
    /// The newest packed day up to this one, and the greatest version before it.
    fn newest_mark(&mut self, to_day: i64) -> impl Statement<Option<FleetMark>>;

    /// The greatest version before a day, and whether changes from before that day are not packed.
    fn state_before(&mut self, day: i64) -> impl Statement<(i64, bool)>;

    /// The newest opening up to a day, with its day.
    fn newest_opening(&mut self, up_to: i64) -> impl Statement<Option<(i64, Vec<u8>)>>;

    /// The changes that are not packed, from a day on and before an instant, sorted by instant.
    fn unpacked_changes(&mut self, from_day: Option<i64>, to: Timestamp) -> impl Statement<Vec<Change>>;

    /// The packed days, in order.
    fn stream_days(&mut self, days: RangeInclusive<i64>) -> impl Stream<Item = Result<(i64, Vec<u8>), sqlx::Error>> + Send + Unpin;
}

/// [`FleetLog::read_fleet`](crate::store::FleetLog::read_fleet).
pub(in crate::store) async fn read_fleet(
    mut session: impl FleetSession,
    range: TimeRange,
    resume: Option<FleetMark>,
    parts: &mpsc::Sender<FleetPart>,
) -> Result<(), Failure> {
    let (from_day, to_day) = (day_of(millis(range.from)), day_of(millis(range.to)));
    let mark = session.newest_mark(to_day).await?;
    let resumed = resumable(&mut session, resume, mark).await?;
    let (first_day, opening) = match resumed {
        Some(mark) => (mark.day, Opening::default()),
        None => read_opening(&mut session, from_day).await?,
    };
    let recent = session.unpacked_changes(resumed.map(|mark| mark.day), range.to).await?;
    let mark = mark.filter(|mark| recent.first().is_none_or(|change| day_of(change.step.at) >= mark.day));
    if parts.send(FleetPart::Begin { resumed: resumed.is_some(), mark, opening, recent }).await.is_err() {
        return Ok(());
    }
    let mut days = session.stream_days(first_day..=to_day);
    while let Some((day, changes)) = days.try_next().await? {
        if parts.send(FleetPart::Day { day, changes }).await.is_err() {
            break;
        }
    }
    drop(days);
    Ok(session.commit().await?)
}

/// The reader's mark, if what it has read still holds.
async fn resumable(
    session: &mut impl FleetSession,
    resume: Option<FleetMark>,
    newest: Option<FleetMark>,
) -> Result<Option<FleetMark>, sqlx::Error> {
    let Some(mark) = resume.filter(|mark| newest.is_some_and(|newest| mark.day <= newest.day)) else { return Ok(None) };
    let (version, is_late) = session.state_before(mark.day).await?;
    Ok((version == mark.version && !is_late).then_some(mark))
}

/// The newest opening up to a day, with its day; an empty one at the beginning of time when there is none.
pub(super) async fn read_opening(session: &mut impl FleetSession, up_to: i64) -> Result<(i64, Opening), Failure> {
    match session.newest_opening(up_to).await? {
        Some((day, standings)) => Ok((day, Opening::read(&standings).map_err(corrupt)?)),
        None => Ok((i64::MIN, Opening::default())),
    }
}
