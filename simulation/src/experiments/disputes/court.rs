// SPDX-License-Identifier: Apache-2.0
//! Cases on a chain: its agents, their messages, and their money.

use anyhow::{anyhow, bail, ensure, Context, Result};
use frame_support::traits::fungible::Inspect;
use frame_system::offchain::CreateAuthorizedTransaction;
use pallet_disputes::{Call, CaseId, CaseOf, Cases, NextCase, Parameters, Phase};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sp_core::sr25519;
use sp_runtime::Permill;
use starling_evidence::{
    messages::{self, Accusation},
    verdict::two_thirds,
    Account, Claim, Code, Evidence, Finding, Identity, Key, ModelId, Peer, Ruling, Side, Signed,
    SignedOutput,
};
use starling_primitives::H256;
use starling_runtime::{
    parameters::Preset, AccountId, Balance, Balances, Disputes, Runtime, RuntimeCall,
    UncheckedExtrinsic, UNIT,
};

use super::{findings::Scene, Adversary};
use crate::{
    chain::{Authoring, Chain, Genesis},
    experiments::short,
    keys::Keys,
};

/// Bond of every agent: far above the stakes of executors, so that draws stay as good as equal.
const BOND: Balance = 10_000 * UNIT;

/// Number of validators.
const VALIDATORS: usize = 4;

/// Maximum number of blocks until messages are included, or until a case is over.
const MOST_BLOCKS: usize = 500;

/// The model of all cases.
const MODEL: ModelId = [7; 32];

/// The salt of all commitments.
const SALT: [u8; 32] = [5; 32];

/// The parameters of production, open as in development, with the windows of a simulation. A window
/// matters only if a message is missing, and then only by its end.
pub(super) fn parameters() -> Parameters {
    Parameters {
        drawing: 2,
        commit_window: 6,
        reveal_window: 6,
        appeal_window: 6,
        retention: 20,
        evidence_life: 300_000,
        holder_delay: 1,
        slash: Permill::from_percent(10),
        ..Preset::Production.disputes()
    }
}

/// An agent that signs claims.
struct Signer(Keys);

impl Identity for Signer {
    fn account(&self) -> Option<Account> {
        Some(self.0.account_id().into())
    }

    fn key(&self) -> Option<Key> {
        Some(sr25519::Public::from(self.0.inference_key()).0)
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        Some(signature(&self.0, message))
    }
}

fn signature(keys: &Keys, payload: &[u8]) -> [u8; 64] {
    sr25519::Signature::from(keys.sign_inference(payload)).0
}

fn message(call: Call<Runtime>) -> UncheckedExtrinsic {
    <Runtime as CreateAuthorizedTransaction<Call<Runtime>>>::create_authorized_transaction(
        RuntimeCall::Disputes(call),
    )
}

/// Amounts in the currency's unit that a case costs; what is below zero is a gain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lost {
    pub(super) accuser: f64,
    /// The first server, guilty or not.
    pub(super) first: f64,
    /// The second server, which is honest.
    pub(super) second: f64,
    /// All executors of the adversary's.
    pub(super) owned_executors: f64,
    /// All honest executors.
    pub(super) honest_executors: f64,
}

/// A case that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Played {
    /// Whether two thirds of the first committee that was drawn were the adversary's.
    pub(super) captured: bool,
    /// The ruling that could be appealed, if there was one.
    pub(super) first: Option<Ruling>,
    /// The ruling in the end.
    pub(super) last: Ruling,
    pub(super) lost: Lost,
}

/// Whether a ruling convicts the first and the second server.
pub(super) fn convicts(ruling: Ruling) -> [bool; 2] {
    match ruling {
        Ruling::Decided { first, second } => [first, second].map(|side| side == Side::Guilty),
        _ => [false; 2],
    }
}

/// Whether a ruling is a verdict, and not the right one.
pub(super) fn is_wrong(adversary: Adversary, ruling: Ruling) -> bool {
    matches!(ruling, Ruling::Decided { .. }) && convicts(ruling) != [adversary.has_guilty(), false]
}

/// An agent that holds the model.
struct Executor {
    keys: Keys,
    owned: bool,
}

/// The accuser of a case, and both servers.
#[derive(Clone)]
struct Parties {
    accuser: Keys,
    servers: [Keys; 2],
}

/// The findings of a committee.
struct Work {
    draw: H256,
    findings: Vec<(Keys, Finding)>,
    revealed: bool,
}

/// A chain with holders of the model, and with fresh parties for each of its cases.
pub(super) struct Court {
    adversary: Adversary,
    chain: Chain,
    executors: Vec<Executor>,
    parties: std::vec::IntoIter<Parties>,
    rng: ChaCha8Rng,
    /// Messages that wait for a block.
    queue: Vec<UncheckedExtrinsic>,
}

impl Court {
    /// A court with so many executors, of which the adversary owns `owned`, and with parties for so
    /// many cases. All else follows from the seed.
    pub(super) fn new(
        adversary: Adversary,
        executors: u32,
        owned: u32,
        cases: u32,
        seed: (u64, u32),
    ) -> Result<Self> {
        let keys = |role: &str, number: u32| {
            let (seed, batch) = seed;
            Keys::of(&format!("{role} {number} of {seed}, {batch}"))
        };
        let executors: Vec<Executor> = (0..executors)
            .map(|number| Executor {
                keys: keys("executor", number),
                owned: number < owned,
            })
            .collect();
        let parties: Vec<Parties> = (0..cases)
            .map(|number| Parties {
                accuser: keys("accuser", number),
                servers: [keys("first", number), keys("second", number)],
            })
            .collect();
        let servers = parties.iter().flat_map(|parties| &parties.servers);
        let agents = executors
            .iter()
            .map(|executor| &executor.keys)
            .chain(parties.iter().map(|parties| &parties.accuser))
            .chain(servers);
        let chain = Chain::new(Genesis {
            parameters: short(Preset::Production),
            disputes: Some(parameters()),
            validators: VALIDATORS,
            agents: agents.map(|keys| (keys.clone(), BOND)).collect(),
            accounts: Vec::new(),
        })?;
        let (seed, batch) = seed;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(batch.into());
        let mut court = Self {
            adversary,
            chain,
            executors,
            parties: parties.into_iter(),
            rng,
            queue: Vec::new(),
        };
        court.hold()?;
        Ok(court)
    }

    /// Lets all executors say that they hold the model.
    fn hold(&mut self) -> Result<()> {
        let (genesis, at) = (self.genesis(), self.chain.number());
        for executor in &self.executors {
            let agent = executor.keys.account_id();
            let payload = messages::hold(&genesis, agent.as_ref(), &[MODEL], at);
            self.queue.push(message(Call::hold {
                agent,
                models: vec![MODEL],
                at,
                signature: Some(signature(&executor.keys, &payload)),
            }));
        }
        self.send()
    }

    fn genesis(&self) -> [u8; 32] {
        self.chain.genesis().0
    }

    /// Authors a block. No message may be rejected.
    fn author(&mut self) -> Result<()> {
        let block = self.chain.author(&mut self.queue, Authoring::default())?;
        match block.rejected.first() {
            Some((_, rejection)) => bail!("a message was rejected: {rejection:?}"),
            None => Ok(()),
        }
    }

    /// Authors blocks until all messages are included.
    fn send(&mut self) -> Result<()> {
        for _ in 0..MOST_BLOCKS {
            if self.queue.is_empty() {
                return Ok(());
            }
            self.author()?;
        }
        bail!("messages fit into no block")
    }

    /// Plays the next case, from the accusation to its end.
    pub(super) fn play(&mut self) -> Result<Played> {
        let parties = self.parties.next().context("there are no more parties")?;
        let before = self.wealth(&parties);
        let scene = Scene::new(self.adversary, &mut self.rng);
        let id = self.accuse(&parties)?;
        let mut work: Option<Work> = None;
        let (mut captured, mut first) = (false, None);
        for _ in 0..MOST_BLOCKS {
            let case = self
                .chain
                .read(|| Cases::<Runtime>::get(id))
                .context("a case is stored until it is over")?;
            match case.phase {
                Phase::Committing if work.as_ref().is_none_or(|one| one.draw != case.draw) => {
                    if case.attempt == 0 {
                        captured = self.is_captured(&case);
                    }
                    work = Some(self.commit(id, &case, &scene)?);
                },
                Phase::Revealing => {
                    let work = work
                        .as_mut()
                        .context("findings come before their reveals")?;
                    self.reveal(id, work);
                },
                Phase::Judged if first.is_none() => {
                    first = case.ruling;
                    self.appeal(id, &parties, first)?;
                },
                Phase::Closed => {
                    let after = self.wealth(&parties);
                    return Ok(Played {
                        captured,
                        first,
                        last: case.ruling.context("a closed case has a ruling")?,
                        lost: self.lost(&before, &after),
                    });
                },
                Phase::Drawing | Phase::Committing | Phase::Judged => {},
            }
            self.author()?;
        }
        bail!("case {id} does not end")
    }

    /// Checks that the chain's bonds and counts are where they belong.
    pub(super) fn check(&mut self) -> Result<()> {
        let state = self.chain.read(Disputes::do_try_state);
        state.map_err(|error| anyhow!("the state of disputes is broken: {error:?}"))
    }

    /// Opens a case about two outputs of the servers.
    fn accuse(&mut self, parties: &Parties) -> Result<CaseId> {
        let (genesis, after) = (self.genesis(), self.rng.random());
        let time = self.chain.read(pallet_timestamp::Now::<Runtime>::get);
        let peer = Peer::new([1]);
        let answer = |keys: &Keys, output: [u8; 32]| {
            let claim = Claim {
                model: MODEL,
                layers: (3, 9),
                wire: Code::F16,
                positions: 0,
                rows: 16,
                before: [0; 32],
                after,
                output,
                time,
            };
            let claim = Signed::new(claim, &Signer(keys.clone()), &genesis, &peer, None);
            let peer = peer.clone();
            claim.map(|claim| SignedOutput { peer, claim })
        };
        let [first, second] = &parties.servers;
        let accusation = Accusation {
            network: genesis,
            evidence: Evidence {
                first: answer(first, [1; 32]).context("a server signs")?,
                second: answer(second, [2; 32]).context("a server signs")?,
            },
            shown_by: Peer::new([2]),
        };
        let agent = parties.accuser.account_id();
        let payload = messages::accuse(&genesis, agent.as_ref(), &accusation);
        self.queue.push(message(Call::accuse {
            agent,
            accusation: Box::new(accusation),
            signature: Some(signature(&parties.accuser, &payload)),
        }));
        let id = self.chain.read(NextCase::<Runtime>::get);
        self.send()?;
        Ok(id)
    }

    /// The executors of a committee.
    fn members<'a>(&'a self, case: &'a CaseOf<Runtime>) -> impl Iterator<Item = &'a Executor> + 'a {
        let is_drawn = move |one: &&Executor| case.committee.contains(&one.keys.account_id());
        self.executors.iter().filter(is_drawn)
    }

    fn is_captured(&self, case: &CaseOf<Runtime>) -> bool {
        let owned = self.members(case).filter(|member| member.owned).count();
        owned >= two_thirds(case.committee.len())
    }

    /// Lets all members of a committee commit to their findings.
    fn commit(&mut self, id: CaseId, case: &CaseOf<Runtime>, scene: &Scene) -> Result<Work> {
        let genesis = self.genesis();
        let members: Vec<(Keys, bool)> = self
            .members(case)
            .map(|member| (member.keys.clone(), member.owned))
            .collect();
        ensure!(
            members.len() == case.committee.len(),
            "a member is no executor"
        );
        let mut findings = Vec::with_capacity(members.len());
        for (keys, owned) in members {
            let finding = match owned {
                true => scene.owned(&mut self.rng),
                false => scene.honest(&mut self.rng),
            };
            let (agent, draw) = (keys.account_id(), &case.draw.0);
            let commitment = finding.commitment(&genesis, agent.as_ref(), id, draw, &SALT);
            let payload = messages::commit(&genesis, agent.as_ref(), id, draw, &commitment);
            self.queue.push(message(Call::commit {
                case: id,
                agent,
                commitment: H256(commitment),
                signature: signature(&keys, &payload),
            }));
            findings.push((keys, finding));
        }
        Ok(Work {
            draw: case.draw,
            findings,
            revealed: false,
        })
    }

    /// Lets all members reveal their findings, once.
    fn reveal(&mut self, id: CaseId, work: &mut Work) {
        if std::mem::replace(&mut work.revealed, true) {
            return;
        }
        let reveals = work.findings.iter().map(|(keys, finding)| {
            message(Call::reveal {
                case: id,
                agent: keys.account_id(),
                finding: finding.clone(),
                salt: SALT,
            })
        });
        self.queue.extend(reveals);
    }

    /// Lets an honest party appeal a wrong ruling: a server that is convicted, or the accuser of a
    /// guilty one that is not. The adversary never does.
    fn appeal(&mut self, id: CaseId, parties: &Parties, ruling: Option<Ruling>) -> Result<()> {
        let Some(ruling) = ruling.filter(|one| is_wrong(self.adversary, *one)) else {
            return Ok(());
        };
        let honest = [!self.adversary.has_guilty(), true];
        let mut wronged = parties
            .servers
            .iter()
            .zip(honest)
            .zip(convicts(ruling))
            .filter(|((_, honest), convicted)| *honest && *convicted)
            .map(|((keys, _), _)| keys);
        let accuser = (!self.adversary.owns_accuser()).then_some(&parties.accuser);
        if let Some(appellant) = wronged.next().or(accuser) {
            let call = RuntimeCall::Disputes(Call::appeal { case: id });
            let appeal = self.chain.sign(appellant, call)?;
            self.queue.push(appeal);
        }
        Ok(())
    }

    /// The funds of accuser, servers and executors, with their bonds.
    fn wealth(&mut self, parties: &Parties) -> Vec<Balance> {
        let accounts: Vec<AccountId> = [&parties.accuser]
            .into_iter()
            .chain(&parties.servers)
            .chain(self.executors.iter().map(|executor| &executor.keys))
            .map(Keys::account_id)
            .collect();
        let funds = accounts.iter();
        self.chain.read(|| {
            funds
                .map(<Balances as Inspect<AccountId>>::total_balance)
                .collect()
        })
    }

    fn lost(&self, before: &[Balance], after: &[Balance]) -> Lost {
        let mut losses = before
            .iter()
            .zip(after)
            .map(|(before, after)| (*before as f64 - *after as f64) / UNIT as f64);
        let mut next = || losses.next().unwrap_or(0.0);
        let mut lost = Lost {
            accuser: next(),
            first: next(),
            second: next(),
            ..Lost::default()
        };
        for executor in &self.executors {
            let loss = next();
            match executor.owned {
                true => lost.owned_executors += loss,
                false => lost.honest_executors += loss,
            }
        }
        lost
    }
}
