//! The parameters of an export as somebody wrote them, and what they mean.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use super::plan::Content;
use super::{ExportKind, ExportPlan};
use crate::quota::calendar::{buckets_within, time_zone};
use crate::quota::usage::Fill;
use crate::quota::{Interval, Tenant, TenantId, TimeRange, parse_instant};
use crate::shown;

/// Buckets of each tenant at most: nearly two years of five minutes, or 22 years of hours.
const MAX_BUCKETS: usize = 200_000;

/// The stretch of usage when no start is given.
const DEFAULT_STRETCH: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The parameters, as text.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// `tenant`: ids; all tenants when there are none.
    pub tenants: Vec<String>,
    /// `label`: `key=value`; all of these labels.
    pub labels: Vec<String>,
    /// `from`: an instant.
    pub from: Option<String>,
    /// `to`: an instant.
    pub to: Option<String>,
    /// `interval`: an ISO 8601 duration.
    pub interval: Option<String>,
    /// `timeZone`: an IANA name.
    pub time_zone: Option<String>,
    /// `spaceType`: a number.
    pub space_type: Option<String>,
    /// `fill`: `NONE` or `LAST`.
    pub fill: Option<String>,
    /// `format`: `csv`, `ndjson` or `parquet`.
    pub format: Option<String>,
}

/// A parameter is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {mend}")]
pub struct InvalidParam {
    /// The parameter as addresses name it, such as `timeZone`.
    pub name: String,
    pub mend: String,
}

impl InvalidParam {
    fn new(name: &str, mend: impl Display) -> Self {
        Self { name: name.to_owned(), mend: mend.to_string() }
    }
}

impl Params {
    /// Reads the query of an address.
    ///
    /// # Errors
    /// When it has a parameter that there is not, or one twice that there is once.
    pub fn from_query(query: &str, kind: ExportKind) -> Result<Self, InvalidParam> {
        let mut params = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let once = match &*name {
                "tenant" => {
                    params.tenants.push(value.into_owned());
                    continue;
                }
                "label" => {
                    params.labels.push(value.into_owned());
                    continue;
                }
                "from" => &mut params.from,
                "to" => &mut params.to,
                "spaceType" => &mut params.space_type,
                "format" => &mut params.format,
                "interval" if kind == ExportKind::Usage => &mut params.interval,
                "timeZone" if kind == ExportKind::Usage => &mut params.time_zone,
                "fill" if kind == ExportKind::Usage => &mut params.fill,
                _ => return Err(unknown(&name, kind)),
            };
            if once.replace(value.into_owned()).is_some() {
                return Err(InvalidParam::new(&name, "is given twice"));
            }
        }
        Ok(params)
    }

    /// The export that they ask for, out of the tenants that the caller may see.
    ///
    /// # Errors
    /// When one of them is wrong. A tenant that the caller may not see is one that there is not.
    pub fn plan(&self, kind: ExportKind, visible: &[&Tenant], now: Timestamp) -> Result<ExportPlan, InvalidParam> {
        let format = parse("format", self.format.as_deref())?.unwrap_or_default();
        let space_type = self.space_type.as_deref().map(|text| {
            text.parse().map_err(|_| {
                InvalidParam::new("spaceType", format!("must be the number of a space type, found {}", shown::quoted(text)))
            })
        });
        let from = self.from.as_deref().map(|text| instant("from", text)).transpose()?;
        let to = self.to.as_deref().map(|text| instant("to", text)).transpose()?;
        let content = match kind {
            ExportKind::Usage => self.usage(from, to, now)?,
            ExportKind::Snapshots => {
                if let Some((from, to)) = from.zip(to) {
                    require_order(from, to)?;
                }
                Content::Snapshots { from, to }
            }
        };
        Ok(ExportPlan { format, tenants: self.choose(visible)?, space_type: space_type.transpose()?, content, now })
    }

    fn usage(&self, from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<Content, InvalidParam> {
        let until = to.unwrap_or(now);
        let from = from.unwrap_or_else(|| until.saturating_sub(DEFAULT_STRETCH).unwrap_or(Timestamp::MIN));
        if to.is_none() && until <= from {
            return Err(InvalidParam::new("from", "must be in the past when to is not given"));
        }
        require_order(from, until)?;
        let interval: Interval = match &self.interval {
            Some(text) => {
                text.parse().map_err(|refused| InvalidParam::new("interval", format!("{}: {refused}", shown::quoted(text))))?
            }
            None => "P1D".parse().map_err(|refused| InvalidParam::new("interval", refused))?,
        };
        let zone = self.time_zone.as_deref().unwrap_or("UTC");
        let tz = time_zone(zone).map_err(|unknown| InvalidParam::new("timeZone", unknown))?;
        let fill = match self.fill.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("NONE") => Fill::None,
            Some("LAST") => Fill::Last,
            Some(_) => return Err(InvalidParam::new("fill", "is NONE or LAST")),
        };
        let range = TimeRange { from, to: until };
        let buckets = buckets_within(range, interval, &tz, MAX_BUCKETS).map_err(|many| InvalidParam::new("interval", many))?;
        Ok(Content::Usage { buckets: buckets.into(), fill })
    }

    /// The tenants that are asked for, sorted.
    fn choose(&self, visible: &[&Tenant]) -> Result<Vec<TenantId>, InvalidParam> {
        let labels = self.labels.iter().map(|text| label(text, visible)).collect::<Result<Vec<_>, _>>()?;
        let known: BTreeSet<&str> = visible.iter().map(|tenant| tenant.id.as_str()).collect();
        if let Some(unknown) = self.tenants.iter().find(|id| !known.contains(id.as_str())) {
            let shown: String = unknown.chars().take(64).collect();
            return Err(InvalidParam::new("tenant", format!("there is no tenant {shown:?}")));
        }
        let asked: BTreeSet<&str> = self.tenants.iter().map(String::as_str).collect();
        let is_meant = |tenant: &&&Tenant| {
            (asked.is_empty() || asked.contains(tenant.id.as_str()))
                && labels.iter().all(|(key, value)| tenant.labels.iter().any(|l| l.key == *key && l.value == *value))
        };
        let meant: BTreeSet<_> = visible.iter().filter(is_meant).map(|tenant| tenant.id.clone()).collect();
        Ok(meant.into_iter().collect())
    }
}

fn unknown(name: &str, kind: ExportKind) -> InvalidParam {
    let known = match kind {
        ExportKind::Usage => "tenant, label, from, to, interval, timeZone, spaceType, fill and format",
        ExportKind::Snapshots => "tenant, label, from, to, spaceType and format",
    };
    let shown: String = name.chars().take(64).collect();
    InvalidParam::new(&shown, format!("there is no such parameter; there are {known}"))
}

fn parse<T: FromStr<Err: Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, InvalidParam> {
    text.map(|text| text.parse().map_err(|refused| InvalidParam::new(name, refused))).transpose()
}

fn instant(name: &str, text: &str) -> Result<Timestamp, InvalidParam> {
    let mend = || format!("{} is not a date and time; write RFC 3339 with an offset: 2026-03-01T00:00:00Z", shown::quoted(text));
    parse_instant(text).ok_or_else(|| InvalidParam::new(name, mend()))
}

fn require_order(from: Timestamp, to: Timestamp) -> Result<(), InvalidParam> {
    if from < to { Ok(()) } else { Err(InvalidParam::new("to", "must be after from")) }
}

/// The key and the value of `key=value`. The key must be one that a tenant has.
fn label<'a>(text: &'a str, visible: &[&Tenant]) -> Result<(&'a str, &'a str), InvalidParam> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| InvalidParam::new("label", format!("{} is not KEY=VALUE", shown::quoted(text))))?;
    if visible.iter().any(|tenant| tenant.labels.iter().any(|label| label.key == key)) {
        Ok((key, value))
    } else {
        Err(InvalidParam::new("label", format!("no tenant has a label {}", shown::quoted(key))))
    }
}
