// SPDX-License-Identifier: Apache-2.0
//! A case for programs.

use serde::Serialize;
use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_evidence::{Finding, Ruling, Side};
use starling_primitives::{
    api::disputes::{CaseId, CaseView, ExecutorView},
    round::BlockNumber,
    Balance,
};

use super::{accused, phase, ruling, side};
use crate::report::Account;

/// A case. Amounts are in the smallest unit of the currency, as strings: the numbers of JSON are
/// too small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The number.
    pub case: CaseId,
    /// The block in which it was opened.
    pub opened: BlockNumber,
    /// The phase, in lower case.
    pub phase: &'static str,
    /// The first block in which the phase ends. A closed case is forgotten then.
    pub due: BlockNumber,
    /// The agent that accuses.
    pub accuser: Account,
    /// The accuser's bond.
    pub bond: String,
    /// The agents of the two claims.
    pub accused: [Accused; 2],
    /// The SHA-256 of the model's file, in hexadecimal.
    pub model: String,
    /// The first layer, and one past the last.
    pub layers: (u32, u32),
    /// Whether the exhibit is on chain.
    pub published: bool,
    /// Whether the committee is that of an appeal.
    pub appealed: bool,
    /// The committee, in the order of draws. Empty before the draw.
    pub committee: Vec<Executor>,
    /// The ruling in words, once there is one. Until an appeal is over it is that of the first
    /// committee.
    pub ruling: Option<String>,
}

/// One of the two agents that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accused {
    /// The agent.
    pub agent: Account,
    /// The amount that the case locks of its bond, which it loses if it is guilty.
    pub stake: String,
    /// The verdict on it. `None` before the ruling, and where the ruling is none on the agents.
    pub verdict: Option<&'static str>,
}

/// A member of a committee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Executor {
    /// The agent.
    pub agent: Account,
    /// `silent`, `committed` or `revealed`.
    pub state: &'static str,
    /// The same with its finding, in words.
    pub finding: &'static str,
}

/// Reports a case. `name` names accounts.
pub fn report(view: &CaseView<AccountId32>, name: impl Fn(&AccountId32) -> String) -> Report {
    let account = |who: &AccountId32| Account {
        name: name(who),
        address: who.to_ss58check(),
    };
    let claim = &view.accusation.evidence.first.claim.body;
    let [first, second] = accused(view).map(|who| account(&who));
    let on_both = match view.ruling {
        Some(Ruling::Decided { first, second }) => (Some(first), Some(second)),
        _ => (None, None),
    };
    let words = view.ruling.as_ref();
    let words = words.map(|words| ruling(words, &first.name, &second.name));
    let one = |agent: Account, stake: Balance, verdict: Option<Side>| Accused {
        agent,
        stake: stake.to_string(),
        verdict: verdict.as_ref().map(side),
    };
    let committee = view.committee.iter().map(|member| Executor {
        agent: account(&member.agent),
        state: state(member),
        finding: finding(member),
    });
    Report {
        case: view.id,
        opened: view.opened,
        phase: phase(view.phase),
        due: view.due,
        accuser: account(&view.accuser),
        bond: view.bond.to_string(),
        model: hex::encode(claim.model),
        layers: claim.layers,
        published: view.published,
        appealed: view.appealed,
        committee: committee.collect(),
        ruling: words,
        accused: [
            one(first, view.stakes.0, on_both.0),
            one(second, view.stakes.1, on_both.1),
        ],
    }
}

fn state(member: &ExecutorView<AccountId32>) -> &'static str {
    match (&member.finding, &member.commitment) {
        (Some(_), _) => "revealed",
        (None, Some(_)) => "committed",
        (None, None) => "silent",
    }
}

/// The finding of a member of a committee in words, or that there is none yet.
pub fn finding(member: &ExecutorView<AccountId32>) -> &'static str {
    match (&member.finding, &member.commitment) {
        (Some(Finding::Computed(_)), _) => "computed the span again",
        (Some(Finding::Unavailable), _) => "was shown no exhibit",
        (Some(Finding::Unnatural), _) => "says that the inputs do not follow from the tokens",
        (None, Some(_)) => "has committed",
        (None, None) => "has said nothing",
    }
}

#[cfg(test)]
mod tests {
    use starling_evidence::{messages::Accusation, Peer};
    use starling_primitives::{api::disputes::Phase, H256};

    use super::*;
    use crate::disputes::tests::private;

    fn account(index: u8) -> AccountId32 {
        AccountId32::new([index; 32])
    }

    /// A case of agent 9 about the agents 1 and 2, with a silent member, one that has committed and
    /// one that has revealed.
    fn view(phase: Phase, ruling: Option<Ruling>) -> CaseView<AccountId32> {
        let member = |index: u8, commitment: bool, finding| ExecutorView {
            agent: account(index),
            commitment: commitment.then_some(H256([index; 32])),
            finding,
        };
        CaseView {
            id: 3,
            accuser: account(9),
            accusation: Accusation {
                network: [7; 32],
                evidence: private().evidence,
                shown_by: Peer::new([9]),
            },
            opened: 100,
            phase,
            due: 144,
            appealed: false,
            draw: H256([0; 32]),
            committee: vec![
                member(3, false, None),
                member(4, true, None),
                member(5, true, Some(Finding::Unnatural)),
            ],
            bond: 1 << 60,
            stakes: (10, 20),
            published: false,
            ruling,
        }
    }

    fn named(who: &AccountId32) -> String {
        let bytes: &[u8] = who.as_ref();
        format!("agent {}", bytes[0])
    }

    #[test]
    fn a_case_names_its_agents_and_what_its_committee_did() {
        let report = report(&view(Phase::Revealing, None), named);
        assert_eq!(report.accuser.name, "agent 9");
        assert_eq!(report.accuser.address, account(9).to_ss58check());
        let accused = report.accused.map(|one| (one.agent.name, one.stake));
        let expected = [("agent 1", "10"), ("agent 2", "20")];
        assert_eq!(accused, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!((report.model, report.layers), ("01".repeat(32), (0, 1)));
        // Numbers of JSON are too small for amounts.
        assert_eq!(report.bond, (1u64 << 60).to_string());
        let states: Vec<_> = report.committee.iter().map(|one| one.state).collect();
        assert_eq!(states, ["silent", "committed", "revealed"]);
        assert_eq!(report.ruling, None);
    }

    #[test]
    fn a_verdict_is_on_each_agent_and_other_rulings_are_on_none() {
        let decided = Ruling::Decided {
            first: Side::Guilty,
            second: Side::Cleared,
        };
        let judged = report(&view(Phase::Judged, Some(decided)), named);
        let verdicts = judged.accused.map(|one| one.verdict);
        assert_eq!(verdicts, [Some("guilty"), Some("cleared")]);
        let words = "agent 1 is guilty, agent 2 is cleared";
        assert_eq!(judged.ruling.as_deref(), Some(words));
        let closed = report(&view(Phase::Closed, Some(Ruling::NoQuorum)), named);
        assert_eq!(closed.accused.map(|one| one.verdict), [None, None]);
        assert_eq!(closed.ruling.as_deref(), Some("too few executors spoke"));
    }
}
