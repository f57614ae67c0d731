//! What is expected to be allocated.

use std::sync::Arc;

use async_graphql::{Context, Object};
use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};

use super::super::context::Asker;
use super::super::error::ApiError;
use super::super::history::load_history;
use super::super::loaders::{DaysKey, days};
use super::super::scalars::{DateTime, Duration, Integer};
use super::forecast_points::{ForecastPoint, ForecastPoints};
use crate::quota::TenantId;
use crate::quota::fleet::Daily;
use crate::quota::forecast::{Expected, METHOD, Reaching, Unavailable, backtest_error, forecast};

/// How far ahead a forecast looks at most: two years, one of which may be a leap year.
const FURTHEST_DAYS: usize = 731;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A well-formed request for a forecast.
pub struct ForecastRequest {
    days: usize,
    threshold: f64,
    confidence: f64,
    space_type: Option<i32>,
    now: Timestamp,
}

impl ForecastRequest {
    /// Reads the arguments of a forecast that starts now.
    pub fn parse(
        horizon: &Duration,
        threshold: f64,
        confidence: f64,
        space_type: Option<Integer>,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let length = horizon.as_stretch("horizon", now)?.after(now).duration_since(now);
        let days = usize::try_from(length.as_hours() / 24).unwrap_or(0);
        if !(1..=FURTHEST_DAYS).contains(&days) {
            return Err(ApiError::argument("horizon", "must be at least one day (P1D) and at most two years (P2Y)"));
        }
        if !(threshold.is_finite() && threshold > 0.0) {
            return Err(ApiError::argument("threshold", "must be more than 0; it is a share of total: 0.9 for 90 %"));
        }
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(ApiError::argument("confidence", "must be more than 0 and less than 1: 0.9 for 90 %"));
        }
        let space_type = Integer::read_optional(space_type, "spaceType")?;
        Ok(Self { days, threshold, confidence, space_type, now })
    }

    /// The forecast for one tenant.
    pub async fn answer(self, ctx: &Context<'_>, tenant: &TenantId) -> Result<Forecast, ApiError> {
        let asker = Asker::of(ctx);
        let key = DaysKey { asker, tenant: tenant.clone(), now: self.now, space_type: self.space_type };
        let daily = load_history(ctx, key).await?.unwrap_or_else(|| Arc::new(days(&[], self.now)));
        let outcome = forecast(&daily.allocated_gb, daily.total_gb, self.days, self.confidence).map(|found| {
            let reaching = found.reaching(self.threshold);
            (reaching, found.days)
        });
        // A forecast is not made to the fraction of a second; neither are its instants.
        let second = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
        Ok(Forecast { now: self.now.round(second).unwrap_or(self.now), daily, outcome })
    }
}

/// Either an expectation or the reason why there is none.
pub struct Forecast {
    /// In whole seconds.
    now: Timestamp,
    daily: Arc<Daily>,
    outcome: Result<(Reaching, Vec<Expected>), Unavailable>,
}

impl Forecast {
    fn reached(&self, which: fn(&Reaching) -> Option<f64>) -> Option<DateTime> {
        let (reaching, _) = self.outcome.as_ref().ok()?;
        let ahead = SignedDuration::try_from_secs_f64((which(reaching)? * DAY.as_secs_f64()).round()).ok()?;
        Some(DateTime(self.now.checked_add(ahead).ok()?))
    }
}

/// Either an expectation or the reason why there is none; never a guess from too little.
///
/// It rests on one value for each of the last 53 weeks' days, taken at the beginning of the present hour; the newest one is of now.
#[Object]
impl Forecast {
    /// Why there is no forecast; null when there is one. `TOO_LITTLE_HISTORY`: observations span less than 28 days. `TOO_MANY_GAPS`: more
    /// than half of all days or of the last 28 are without any, or all of the last 7. `NO_CAPACITY`: the newest total is 0.
    async fn unavailable(&self) -> Option<&'static str> {
        self.outcome.as_ref().err().map(|reason| reason.code())
    }

    /// When the expected line reaches the threshold share of the newest total; now when that is reached already, null when it is not within
    /// the horizon.
    async fn reaches_threshold_at(&self) -> Option<DateTime> {
        self.reached(|reaching| reaching.expected)
    }

    /// The same for the upper edge of the band.
    async fn earliest(&self) -> Option<DateTime> {
        self.reached(|reaching| reaching.earliest)
    }

    /// The same for the lower edge of the band.
    async fn latest(&self) -> Option<DateTime> {
        self.reached(|reaching| reaching.latest)
    }

    /// The coming days, the first of them 24 hours from now; none when there is no forecast.
    async fn points(&self, ctx: &Context<'_>) -> ForecastPoints {
        let days = self.outcome.as_ref().map_or(&[][..], |(_, days)| days);
        let instants = std::iter::successors(Some(self.now), |at| at.checked_add(DAY).ok()).skip(1);
        let points = days.iter().zip(instants).map(|(expected, at)| ForecastPoint { at, expected: *expected }).collect();
        ForecastPoints::new(points, ctx)
    }

    /// How the forecast was made; null when there is none.
    async fn method(&self) -> Option<&'static str> {
        self.outcome.is_ok().then_some(METHOD)
    }

    /// Mean absolute percentage error of the same method on the held-back last fifth of the history (7 to 60 days), as a share: 0.05 for
    /// 5 %. Null when there is no forecast, and when nothing was allocated in that time.
    async fn backtest_error(&self) -> Option<f64> {
        self.outcome.as_ref().ok().and_then(|_| backtest_error(&self.daily.allocated_gb))
    }
}
