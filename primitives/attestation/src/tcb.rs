// SPDX-License-Identifier: Apache-2.0
//! The state of a platform's firmware, by the levels that Intel publishes.

use alloc::{string::String, vec::Vec};
use core::str::FromStr;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use der::DateTime;
use scale_info::TypeInfo;
use serde::Deserialize;

use crate::{Fault, MAX_ADVISORIES, MAX_ADVISORY};

/// Days in which firmware may be out of date.
const GRACE: u64 = 30 * 24 * 60 * 60;

/// The state of a platform's firmware, in Intel's words.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Deserialize,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum Status {
    /// All known holes are closed.
    #[codec(index = 0)]
    UpToDate,
    /// The measured code must close a hole itself.
    #[serde(rename = "SWHardeningNeeded")]
    #[codec(index = 1)]
    HardeningNeeded,
    /// The platform must be configured otherwise.
    #[codec(index = 2)]
    ConfigurationNeeded,
    /// Both of the two before.
    #[serde(rename = "ConfigurationAndSWHardeningNeeded")]
    #[codec(index = 3)]
    ConfigurationAndHardeningNeeded,
    /// There is newer firmware, which closes holes.
    #[codec(index = 4)]
    OutOfDate,
    /// There is newer firmware, and the platform must be configured otherwise.
    #[codec(index = 5)]
    OutOfDateConfigurationNeeded,
    /// The platform's keys are not to be trusted.
    #[codec(index = 6)]
    Revoked,
}

impl Status {
    /// Whether an attestation may have this status: `superseded` is the second since which there is
    /// newer firmware.
    pub fn is_accepted(self, superseded: Option<u64>, now: u64) -> bool {
        match self {
            Self::UpToDate | Self::HardeningNeeded => true,
            Self::OutOfDate => superseded.is_some_and(|since| now <= since.saturating_add(GRACE)),
            _ => false,
        }
    }

    /// The status of a platform with a part in another status: it has the faults of both.
    fn with(self, part: Self) -> Self {
        let any = |has: fn(Self) -> bool| has(self) || has(part);
        if any(|status| status == Self::Revoked) {
            return Self::Revoked;
        }
        let is_misconfigured = any(Self::is_misconfigured);
        match (any(Self::is_out_of_date), is_misconfigured) {
            (true, true) => Self::OutOfDateConfigurationNeeded,
            (true, false) => Self::OutOfDate,
            (false, true) if any(Self::is_to_harden) => Self::ConfigurationAndHardeningNeeded,
            (false, true) => Self::ConfigurationNeeded,
            (false, false) if any(Self::is_to_harden) => Self::HardeningNeeded,
            (false, false) => Self::UpToDate,
        }
    }

    fn is_out_of_date(self) -> bool {
        matches!(self, Self::OutOfDate | Self::OutOfDateConfigurationNeeded)
    }

    fn is_misconfigured(self) -> bool {
        matches!(
            self,
            Self::ConfigurationNeeded
                | Self::ConfigurationAndHardeningNeeded
                | Self::OutOfDateConfigurationNeeded
        )
    }

    fn is_to_harden(self) -> bool {
        matches!(
            self,
            Self::HardeningNeeded | Self::ConfigurationAndHardeningNeeded
        )
    }
}

/// A level of security: the versions that it needs, and what Intel says of it.
#[derive(Deserialize)]
pub(crate) struct Level<Needs> {
    tcb: Needs,
    #[serde(rename = "tcbDate")]
    date: String,
    #[serde(rename = "tcbStatus")]
    status: Status,
    #[serde(rename = "advisoryIDs", default)]
    advisories: Vec<String>,
}

/// The word of the levels on a platform or on a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub status: Status,
    /// The second since which there is newer firmware, if this one is out of date.
    pub superseded: Option<u64>,
    pub advisories: Vec<String>,
}

impl Verdict {
    /// The verdict of the first level, of levels with the highest first, whose needs are met.
    pub(crate) fn of<Needs>(
        levels: &[Level<Needs>],
        is_met: impl Fn(&Needs) -> bool,
    ) -> Result<Self, Fault> {
        let index = levels.iter().position(|level| is_met(&level.tcb));
        let index = index.ok_or(Fault::Level)?;
        let (above, rest) = levels.split_at_checked(index).ok_or(Fault::Level)?;
        let level = rest.first().ok_or(Fault::Level)?;
        let date = seconds(&level.date)?;
        let mut superseded = None;
        if level.status.is_out_of_date() {
            superseded = Some(first_after(above, date)?.unwrap_or(date));
        }
        Ok(Self {
            status: level.status,
            superseded,
            advisories: level.advisories.clone(),
        })
    }

    /// The verdict on a platform with a part that has a verdict of its own.
    pub(crate) fn with(mut self, part: Self) -> Result<Self, Fault> {
        self.status = self.status.with(part.status);
        self.superseded = self.superseded.into_iter().chain(part.superseded).min();
        for advisory in part.advisories {
            if !self.advisories.contains(&advisory) {
                self.advisories.push(advisory);
            }
        }
        self.check_advisories()?;
        Ok(self)
    }

    fn check_advisories(&self) -> Result<(), Fault> {
        let are_short = self
            .advisories
            .iter()
            .all(|name| name.len() <= MAX_ADVISORY);
        if are_short && self.advisories.len() <= MAX_ADVISORIES {
            Ok(())
        } else {
            Err(Fault::Advisories)
        }
    }
}

/// The first date of `levels` after `date`: that of the event that made it out of date.
fn first_after<Needs>(levels: &[Level<Needs>], date: u64) -> Result<Option<u64>, Fault> {
    levels.iter().try_fold(None, |first: Option<u64>, level| {
        let next = Some(seconds(&level.date)?).filter(|next| *next > date);
        Ok(first.into_iter().chain(next).min())
    })
}

/// The seconds since 1970 of a date such as `2024-03-13T00:00:00Z`.
pub(crate) fn seconds(date: &str) -> Result<u64, Fault> {
    let date = DateTime::from_str(date).map_err(|_| Fault::Document)?;
    Ok(date.unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn level(needs: u16, date: &str, status: Status) -> Level<u16> {
        Level {
            tcb: needs,
            date: date.into(),
            status,
            advisories: vec![alloc::format!("SA-{needs}")],
        }
    }

    fn levels() -> Vec<Level<u16>> {
        vec![
            level(9, "2025-08-13T00:00:00Z", Status::UpToDate),
            level(8, "2025-08-13T00:00:00Z", Status::HardeningNeeded),
            level(7, "2025-05-14T00:00:00Z", Status::OutOfDate),
            level(5, "2024-03-13T00:00:00Z", Status::OutOfDate),
        ]
    }

    fn verdict(version: u16) -> Result<Verdict, Fault> {
        Verdict::of(&levels(), |needs| version >= *needs)
    }

    #[test]
    fn the_first_level_that_is_met_decides() {
        assert_eq!(verdict(10).unwrap().status, Status::UpToDate);
        assert_eq!(verdict(8).unwrap().status, Status::HardeningNeeded);
        assert_eq!(verdict(8).unwrap().superseded, None);
        assert_eq!(verdict(6).unwrap().advisories, ["SA-5"]);
        assert_eq!(verdict(4), Err(Fault::Level));
    }

    #[test]
    fn firmware_is_out_of_date_since_the_next_event_and_not_since_the_last() {
        let event = seconds("2025-05-14T00:00:00Z").unwrap();
        let old = verdict(5).unwrap();
        assert_eq!(old.superseded, Some(event));
        assert!(old.status.is_accepted(old.superseded, event + 30 * DAY));
        assert!(!old.status.is_accepted(old.superseded, event + 30 * DAY + 1));
        let newer = verdict(7).unwrap();
        assert_eq!(
            newer.superseded,
            Some(seconds("2025-08-13T00:00:00Z").unwrap())
        );
    }

    #[test]
    fn a_part_lowers_the_status_and_never_lifts_it() {
        use Status::*;
        for (whole, part, both) in [
            (UpToDate, OutOfDate, OutOfDate),
            (HardeningNeeded, OutOfDate, OutOfDate),
            (ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded),
            (OutOfDate, UpToDate, OutOfDate),
            (UpToDate, Revoked, Revoked),
            (Revoked, UpToDate, Revoked),
            (UpToDate, ConfigurationNeeded, ConfigurationNeeded),
            (
                HardeningNeeded,
                ConfigurationNeeded,
                ConfigurationAndHardeningNeeded,
            ),
            (
                UpToDate,
                OutOfDateConfigurationNeeded,
                OutOfDateConfigurationNeeded,
            ),
        ] {
            assert_eq!(whole.with(part), both);
        }
    }

    #[test]
    fn both_are_accepted_only_if_each_is() {
        use Status::*;
        let all = [
            UpToDate,
            HardeningNeeded,
            ConfigurationNeeded,
            ConfigurationAndHardeningNeeded,
            OutOfDate,
            OutOfDateConfigurationNeeded,
            Revoked,
        ];
        let is_accepted = |status: Status| status.is_accepted(Some(0), 0);
        for (one, other) in all.iter().flat_map(|one| all.map(|other| (*one, other))) {
            let both = one.with(other);
            assert_eq!(both, other.with(one));
            assert_eq!(both.with(other), both);
            let are = is_accepted(one) && is_accepted(other);
            assert_eq!(is_accepted(both), are, "{one:?} with {other:?}");
        }
    }

    #[test]
    fn advisories_of_parts_are_joined_and_bounded() {
        let both = verdict(9).unwrap().with(verdict(5).unwrap()).unwrap();
        assert_eq!(both.advisories, ["SA-9", "SA-5"]);
        assert_eq!(both.clone().with(both.clone()).unwrap(), both);
        let mut many = both.clone();
        many.advisories = (0..=MAX_ADVISORIES)
            .map(|n| alloc::format!("{n}"))
            .collect();
        assert_eq!(both.clone().with(many), Err(Fault::Advisories));
        let mut long = both.clone();
        long.advisories = vec!["x".repeat(MAX_ADVISORY + 1)];
        assert_eq!(both.with(long), Err(Fault::Advisories));
    }

    #[test]
    fn only_two_states_last() {
        use Status::*;
        for status in [
            ConfigurationNeeded,
            ConfigurationAndHardeningNeeded,
            Revoked,
        ] {
            assert!(!status.is_accepted(None, 0));
        }
        assert!(!OutOfDate.is_accepted(None, 0));
        assert!(HardeningNeeded.is_accepted(None, u64::MAX));
    }

    #[test]
    fn dates_are_of_one_form() {
        assert_eq!(seconds("1970-01-02T00:00:01Z"), Ok(DAY + 1));
        for other in [
            "2024-03-13",
            "",
            "2024-13-13T00:00:00Z",
            "2024-03-13T00:00:00+01",
        ] {
            assert_eq!(seconds(other), Err(Fault::Document));
        }
    }
}
