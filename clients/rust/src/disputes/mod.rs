// SPDX-License-Identifier: Apache-2.0
//! Disputes between servers, see `pallet-disputes`.

mod report;

use sp_core::crypto::AccountId32;
pub use starling_evidence::exhibit::MAX_EXHIBIT;
pub use starling_evidence::{messages::Accusation, Case, Finding, Ruling, Side};
use starling_evidence::{Claim, Code, Evidence, Exhibit, Signed, SignedOutput};
pub use starling_primitives::api::disputes::{CaseId, CaseView, ExecutorView, Phase};
use starling_primitives::{Balance, H256};
use subxt::dynamic::Value;

pub use report::{finding, report, Accused, Executor, Report};

use crate::{
    transaction::{call, Call},
    At, Error, Result,
};

/// The pallet.
const DISPUTES: &str = "Disputes";

/// The runtime API of disputes.
const DISPUTES_API: &str = "DisputesApi";

impl At {
    /// Whether the chain's runtime has disputes.
    pub fn has_disputes(&self) -> bool {
        self.has_api(DISPUTES_API)
    }

    /// Fails if the chain's runtime has no disputes.
    pub fn require_disputes(&self) -> Result<()> {
        match self.has_disputes() {
            true => Ok(()),
            false => Err(Error::Usage(
                "this chain decides no disputes, because its runtime has no pallet `Disputes`"
                    .into(),
            )),
        }
    }

    /// Whether agents can be accused.
    pub async fn can_be_accused(&self) -> Result<bool> {
        self.runtime_api(DISPUTES_API, "are_open", ()).await
    }

    /// The stored cases, the newest first.
    pub async fn disputes(&self) -> Result<Vec<CaseId>> {
        self.runtime_api(DISPUTES_API, "cases", ()).await
    }

    /// A case.
    pub async fn dispute(&self, id: CaseId) -> Result<CaseView<AccountId32>> {
        let case: Option<CaseView<AccountId32>> =
            self.runtime_api(DISPUTES_API, "case", id).await?;
        case.ok_or_else(|| {
            Error::NotFound(format!(
                "there is no case {id}: it was never opened, or it is over and forgotten; see \
                 `starling disputes list`"
            ))
        })
    }

    /// The newest case about this evidence.
    pub async fn dispute_about(&self, evidence: &Evidence) -> Result<CaseView<AccountId32>> {
        for id in self.disputes().await? {
            let case = self.dispute(id).await?;
            if case.accusation.evidence == *evidence {
                return Ok(case);
            }
        }
        Err(Error::Protocol("the transaction opened no case".into()))
    }

    /// The bond of an accusation by this agent now.
    pub async fn accusation_bond(&self, agent: &AccountId32) -> Result<Balance> {
        self.runtime_api(DISPUTES_API, "accusation_bond", agent)
            .await
    }

    /// Fails with the name of the chain's error if it would refuse an accusation.
    pub async fn can_accuse(&self, agent: &AccountId32, accusation: &Accusation) -> Result<()> {
        let can = self.runtime_api(DISPUTES_API, "can_accuse", (agent, accusation));
        let can: std::result::Result<(), Vec<u8>> = can.await?;
        can.map_err(|name| Error::Refused(format!("Disputes.{}", String::from_utf8_lossy(&name))))
    }
}

/// Accuses by the account of an agent.
pub fn accuse(agent: &AccountId32, accusation: &Accusation) -> Call {
    let value = Value::named_composite([
        ("network", Value::from_bytes(accusation.network)),
        ("evidence", evidence(&accusation.evidence)),
        ("shown_by", bytes(accusation.shown_by.as_bytes())),
    ]);
    call(
        DISPUTES,
        "accuse",
        vec![
            ("agent", Value::from_bytes(agent)),
            ("accusation", value),
            ("signature", Value::unnamed_variant("None", [])),
        ],
    )
}

/// Puts the exhibit of a case on chain.
pub fn publish(case: CaseId, exhibit: &Exhibit) -> Call {
    let tokens = exhibit.tokens.iter();
    let tokens = tokens.map(|token| Value::u128((*token).into()));
    let value = Value::named_composite([
        ("width", Value::u128(exhibit.width.into())),
        ("inputs", Value::from_bytes(&exhibit.inputs)),
        ("first", Value::from_bytes(&exhibit.first)),
        ("second", Value::from_bytes(&exhibit.second)),
        ("tokens", Value::unnamed_composite(tokens)),
    ]);
    let arguments = vec![("case", Value::u128(case.into())), ("exhibit", value)];
    call(DISPUTES, "publish", arguments)
}

/// Appeals a ruling.
pub fn appeal(case: CaseId) -> Call {
    call(DISPUTES, "appeal", vec![("case", Value::u128(case.into()))])
}

/// Bytes within a type of their own.
fn bytes(bytes: &[u8]) -> Value {
    Value::unnamed_composite([Value::from_bytes(bytes)])
}

fn evidence(evidence: &Evidence) -> Value {
    Value::named_composite([
        ("first", output(&evidence.first)),
        ("second", output(&evidence.second)),
    ])
}

fn output(output: &SignedOutput) -> Value {
    let Signed {
        account,
        key,
        body,
        signature,
    } = &output.claim;
    let signed = Value::named_composite([
        ("account", Value::from_bytes(account)),
        ("key", Value::from_bytes(key)),
        ("body", claim(body)),
        ("signature", Value::from_bytes(signature)),
    ]);
    Value::named_composite([("peer", bytes(output.peer.as_bytes())), ("claim", signed)])
}

fn claim(claim: &Claim) -> Value {
    let number = |number: u32| Value::u128(number.into());
    let (start, end) = claim.layers;
    Value::named_composite([
        ("model", Value::from_bytes(claim.model)),
        (
            "layers",
            Value::unnamed_composite([number(start), number(end)]),
        ),
        ("wire", Value::unnamed_variant(code(claim.wire), [])),
        ("positions", number(claim.positions)),
        ("rows", number(claim.rows)),
        ("before", Value::from_bytes(claim.before)),
        ("after", Value::from_bytes(claim.after)),
        ("output", Value::from_bytes(claim.output)),
        ("time", Value::u128(claim.time.into())),
    ])
}

/// The name of a code in the metadata.
fn code(code: Code) -> &'static str {
    match code {
        Code::F32 => "F32",
        Code::F16 => "F16",
        Code::Dynamic8 => "Dynamic8",
        Code::Dynamic8Row => "Dynamic8Row",
        Code::Linear8 => "Linear8",
        Code::Linear8Row => "Linear8Row",
    }
}

/// The hash of the genesis block that evidence is for, checked against the chain's.
///
/// # Errors
/// If it is of another chain.
pub fn check_chain(case: &Case, genesis: H256) -> Result<()> {
    if case.network == genesis.0 {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "the evidence is of another chain: its genesis block is {:?}, and that of this chain is \
         {genesis:?}",
        H256(case.network)
    )))
}

/// Checks that a committee can judge by the exhibit of a case, which has at most `longest` bytes.
///
/// # Errors
/// If it cannot: the accuser would pay with its bond.
pub fn check_exhibit(case: &Case, longest: usize) -> Result<()> {
    case.exhibit
        .admit(&case.evidence, longest)
        .map_err(|fault| {
            Error::Usage(format!(
                "no committee can judge by this evidence, and the accuser would lose its bond: \
                 {fault}"
            ))
        })
}

/// The agents of the two claims.
pub fn accused(case: &CaseView<AccountId32>) -> [AccountId32; 2] {
    let answers = case.accusation.evidence.answers();
    answers.map(|answer| AccountId32::new(answer.claim.account))
}

/// A ruling in words, without a point. `first` and `second` name the two agents.
pub fn ruling(ruling: &Ruling, first: &str, second: &str) -> String {
    match ruling {
        Ruling::Decided {
            first: on_first,
            second: on_second,
        } => format!(
            "{first} is {}, {second} is {}",
            side(on_first),
            side(on_second)
        ),
        Ruling::Unavailable => "nobody showed the exhibit".into(),
        Ruling::Unnatural => "the inputs do not follow from the tokens".into(),
        Ruling::Unstable => "the executors do not agree".into(),
        Ruling::NoQuorum => "too few executors spoke".into(),
        Ruling::NoCommittee => "too few agents hold the model".into(),
    }
}

/// A verdict on an agent in a word or two.
pub fn side(side: &Side) -> &'static str {
    match side {
        Side::Guilty => "guilty",
        Side::Cleared => "cleared",
        Side::Unclear => "neither guilty nor cleared",
    }
}

/// A phase in a word.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Drawing => "drawing",
        Phase::Committing => "committing",
        Phase::Revealing => "revealing",
        Phase::Judged => "judged",
        Phase::Closed => "closed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evidence with the exhibit of a prompt, which names no tokens.
    pub(super) fn private() -> Case {
        let answer = |agent: u8| SignedOutput {
            peer: starling_evidence::Peer::new([agent]),
            claim: Signed {
                account: [agent; 32],
                key: [agent; 32],
                body: Claim {
                    model: [1; 32],
                    layers: (0, 1),
                    wire: Code::F32,
                    positions: 0,
                    rows: 1,
                    before: [0; 32],
                    after: [0; 32],
                    output: [agent; 32],
                    time: 0,
                },
                signature: [0; 64],
            },
        };
        Case {
            network: [7; 32],
            found: 0,
            evidence: Evidence {
                first: answer(1),
                second: answer(2),
            },
            exhibit: Exhibit {
                width: 1,
                inputs: vec![0; 4],
                first: vec![],
                second: vec![],
                tokens: vec![],
            },
        }
    }

    #[test]
    fn evidence_that_no_committee_can_judge_by_is_refused_before_it_costs_a_bond() {
        let refused = |longest| check_exhibit(&private(), longest).unwrap_err().to_string();
        assert!(refused(MAX_EXHIBIT).contains("one token for each position"));
        assert!(refused(10).contains("too long"));
    }

    #[test]
    fn a_ruling_names_both_agents() {
        let decided = Ruling::Decided {
            first: Side::Cleared,
            second: Side::Guilty,
        };
        let words = ruling(&decided, "alice", "bob");
        assert_eq!(words, "alice is cleared, bob is guilty");
    }
}
