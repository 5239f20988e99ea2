// SPDX-License-Identifier: Apache-2.0
//! Checks whether a span was computed correctly.
//!
//! A client sends the same input to a second holder of a span and [`compare`]s the two outputs. It
//! cannot tell which of the two is wrong. It can keep signed [`Evidence`] for a third party, which
//! computes the span again and judges. An [`Archive`] keeps the evidence on disk.

mod archive;
mod evidence;
mod tolerance;

pub use archive::{Archive, Room};
pub use evidence::{check, is_plain, judge, EvidenceError};
pub use starling_evidence::{Case, Claim, Digest, Evidence, Exhibit, History, SignedOutput};
pub use tolerance::{compare, difference, mean, Difference, Tolerance, Verdict};

/// Servers trusted less than this are excluded.
const EXCLUDED_BELOW: f64 = 0.05;

/// Trust in a server after its output was compared with another's. One mismatch costs more than a
/// dozen agreements earn; two exclude a server with full trust.
pub fn trust_after(trust: f64, verdict: &Verdict) -> f64 {
    if verdict.agrees {
        trust + (1.0 - trust) * 0.1
    } else {
        trust_after_mismatch(trust)
    }
}

/// Trust in a server after a mismatch of its output, or of its signature under an output.
pub fn trust_after_mismatch(trust: f64) -> f64 {
    let trust = trust * 0.2;
    if trust < EXCLUDED_BELOW {
        0.0
    } else {
        trust
    }
}

/// Trust in a server after it failed or stalled. Failures alone exclude nobody.
pub fn trust_after_failure(trust: f64) -> f64 {
    (trust * 0.5).max(EXCLUDED_BELOW.min(trust))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(agrees: bool) -> Verdict {
        Verdict {
            agrees,
            difference: Difference::default(),
        }
    }

    #[test]
    fn mismatches_exclude_and_failures_do_not() {
        let once = trust_after(1.0, &verdict(false));
        assert!(once > 0.0 && once < 0.5);
        assert_eq!(trust_after(once, &verdict(false)), 0.0);
        // Excluded servers stay excluded.
        assert_eq!(trust_after_failure(0.0), 0.0);

        let mut trust = 1.0;
        for _ in 0..50 {
            trust = trust_after_failure(trust);
        }
        assert_eq!(trust, EXCLUDED_BELOW);
    }

    #[test]
    fn agreement_earns_trust_slowly_and_never_more_than_full() {
        let mut trust = trust_after(1.0, &verdict(false));
        for _ in 0..12 {
            let more = trust_after(trust, &verdict(true));
            assert!(more > trust && more < 1.0);
            trust = more;
        }
        assert_eq!(trust_after(1.0, &verdict(true)), 1.0);
    }
}
