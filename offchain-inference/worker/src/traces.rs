// SPDX-License-Identifier: Apache-2.0

//! Traces for others: this node shows those of its agents, and checks those that others show.

use std::sync::Arc;

use codec::Encode;
use sp_core::{sr25519, Pair};
use starling_sketch::{
    shown::{read, Ask, Kept, Shown, MAX_SHOWN},
    Hash,
};

use crate::{
    vault::{RoundKey, Vault},
    Accounts, LOG_TARGET,
};

/// The inference keys of agents, and those of this node to sign with.
pub trait Keys: Send + Sync + 'static {
    /// The hash of the genesis block.
    fn genesis(&self) -> Hash;

    /// Whether an inference key, in force or not, is the agent's.
    fn is_of(&self, key: &Hash, agent: &Hash) -> bool;

    /// Signs with a key of the agent in the context `substrate`, if the node has one.
    fn sign_as(&self, agent: &Hash, message: &[u8]) -> Option<(Hash, [u8; 64])>;
}

/// The traces that a node knows. Its methods block.
#[derive(Clone)]
pub struct Traces {
    keys: Arc<dyn Keys>,
    /// Of a node with agents.
    own: Option<(Arc<Vault>, Accounts)>,
}

impl Traces {
    /// From the keys, and the vault of the agents of a node.
    pub fn new(keys: Arc<dyn Keys>, own: Option<(Arc<Vault>, Accounts)>) -> Self {
        Self { keys, own }
    }

    /// The agents whose traces this node shows.
    pub fn agents(&self) -> Vec<Hash> {
        let accounts = self.own.as_ref().map(|(_, accounts)| accounts.all());
        let accounts = accounts.unwrap_or_default().into_iter();
        accounts.map(Into::into).collect()
    }

    /// The answer to the bytes of an [`Ask`]; `None` if they are none.
    pub fn answer(&self, ask: &[u8]) -> Option<Vec<u8>> {
        let ask: Ask = read(ask)?;
        Some(told(self.shown(&ask)))
    }

    /// A trace of this node, once its round is over in a final block.
    pub fn shown(&self, ask: &Ask) -> Option<Shown> {
        let (vault, accounts) = self.own.as_ref()?;
        let key = RoundKey {
            agent: ask.agent.into(),
            round: ask.round,
        };
        if !accounts.contains(&key.agent) {
            return None;
        }
        match vault.public_trace(&key) {
            Ok(kept) => self.signed(ask, kept?),
            Err(error) => {
                log::warn!(target: LOG_TARGET, "cannot show a trace: {error}");
                None
            },
        }
    }

    fn signed(&self, ask: &Ask, kept: Kept) -> Option<Shown> {
        let statement = kept.statement(&self.keys.genesis(), ask);
        let (key, signature) = self.keys.sign_as(&ask.agent, &statement)?;
        Some(Shown {
            kept,
            key,
            signature,
        })
    }

    /// The trace in the answer of another node, if the agent has signed it and it is whole.
    pub fn accept(&self, ask: &Ask, answer: &[u8]) -> Option<Shown> {
        let shown = read::<Option<Shown>>(answer)??;
        let statement = shown.kept.statement(&self.keys.genesis(), ask);
        let signature = sr25519::Signature::from_raw(shown.signature);
        let key = sr25519::Public::from_raw(shown.key);
        let is_good = shown.kept.is_whole()
            && sr25519::Pair::verify(&signature, statement, &key)
            && self.keys.is_of(&shown.key, &ask.agent);
        is_good.then_some(shown)
    }
}

/// An answer. A trace that is too long for one is not shown.
fn told(shown: Option<Shown>) -> Vec<u8> {
    let answer = shown.encode();
    match u64::try_from(answer.len()) {
        Ok(bytes) if bytes <= MAX_SHOWN => answer,
        _ => None::<Shown>.encode(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        vault::{Response, SealedAnswer},
    };
    use sp_core::{crypto::Ss58Codec, H256};
    use starling_primitives::api::SealedResponse;
    use starling_sketch::{
        trace::{Numerics, Parts, Settings, Trace},
        Sketch,
    };

    const AGENT: Hash = [7; 32];
    const ASK: Ask = Ask {
        round: 3,
        agent: AGENT,
    };

    /// The keys of a chain with one agent, whose key this node has.
    struct OneKey(sr25519::Pair);

    impl Keys for OneKey {
        fn genesis(&self) -> Hash {
            [1; 32]
        }

        fn is_of(&self, key: &Hash, agent: &Hash) -> bool {
            (*key, *agent) == (self.0.public().0, AGENT)
        }

        fn sign_as(&self, agent: &Hash, message: &[u8]) -> Option<(Hash, [u8; 64])> {
            let key = self.0.public().0;
            self.is_of(&key, agent)
                .then(|| (key, self.0.sign(message).0))
        }
    }

    fn keys() -> Arc<OneKey> {
        Arc::new(OneKey(sr25519::Pair::from_seed(&[5; 32])))
    }

    fn kept(tokens: usize) -> Kept {
        let ids = vec![9; tokens];
        let sketches = vec![Sketch::new([1; 128])];
        let trace = Trace::of(&Parts {
            model: [9; 32],
            numerics: Numerics::Wide,
            settings: Settings {
                temperature: 700,
                top_k: 40,
                top_p: 950,
            },
            attempt: 0,
            context: &ids[1..],
            tokens: &ids[..1],
            sketches: &sketches,
            salt: [8; 32],
        });
        Kept {
            request: [2; 32],
            trace: trace.unwrap(),
            ids,
            sketches,
        }
    }

    /// A node whose vault has a trace of this many tokens in the round of [`ASK`].
    fn node(folder: &tempfile::TempDir, tokens: usize) -> (Arc<Vault>, Traces) {
        let vault = Arc::new(Vault::open(folder.path().join("vault.redb")).unwrap());
        let response = Response {
            request: H256([2; 32]),
            answer: Some(SealedAnswer {
                text: "x".into(),
                sealed: SealedResponse {
                    key: [0; 32],
                    sealed: vec![],
                },
            }),
        };
        vault
            .put_traced(&key(), 5, response, Some(&kept(tokens)))
            .unwrap();
        let account = crate::AccountId::from(AGENT).to_ss58check();
        let module = "[[primary]]\n[[primary.patterns]]\npattern = 'x'\nanswer = 'y'";
        let config = format!("accounts = [{account:?}]\n{module}");
        let config: Config = toml::from_str(&config).unwrap();
        let accounts = Accounts::default();
        accounts.configure(&config);
        let traces = Traces::new(keys(), Some((vault.clone(), accounts)));
        (vault, traces)
    }

    fn key() -> RoundKey {
        RoundKey {
            agent: AGENT.into(),
            round: ASK.round,
        }
    }

    fn reveal(vault: &Vault) {
        vault.purge(&[key()], &[key()].into(), 9).unwrap();
    }

    #[test]
    fn a_trace_is_shown_once_its_round_is_over_and_others_accept_it() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, traces) = node(&folder, 3);
        let asker = Traces::new(keys(), None);
        let answer = |ask: &Ask| traces.answer(&ask.encode()).unwrap();
        assert_eq!(answer(&ASK), None::<Shown>.encode());
        reveal(&vault);
        let shown = asker.accept(&ASK, &answer(&ASK)).unwrap();
        assert_eq!(shown.kept, kept(3));
        assert_eq!((traces.agents(), asker.agents()), (vec![AGENT], vec![]));
        for other in [
            Ask { round: 4, ..ASK },
            Ask {
                agent: [6; 32],
                ..ASK
            },
        ] {
            assert_eq!(answer(&other), None::<Shown>.encode());
            assert_eq!(asker.accept(&other, &answer(&ASK)), None);
        }
    }

    #[test]
    fn a_trace_that_the_agent_has_not_signed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, traces) = node(&folder, 3);
        reveal(&vault);
        let shown = traces.shown(&ASK).unwrap();
        let forged = |change: &dyn Fn(&mut Shown)| {
            let mut shown = shown.clone();
            change(&mut shown);
            traces.accept(&ASK, &Some(shown).encode())
        };
        assert_eq!(forged(&|_| {}), Some(shown.clone()));
        assert_eq!(forged(&|shown| shown.kept.ids[0] = 1), None);
        assert_eq!(forged(&|shown| drop(shown.kept.sketches.pop())), None);
        assert_eq!(forged(&|shown| shown.kept.trace.salt = [0; 32]), None);
        assert_eq!(forged(&|shown| shown.kept.request = [0; 32]), None);
        assert_eq!(forged(&|shown| shown.signature[0] ^= 1), None);
        let stranger = sr25519::Pair::from_seed(&[6; 32]);
        let statement = shown.kept.statement(&[1; 32], &ASK);
        let by_stranger = forged(&|shown| {
            shown.key = stranger.public().0;
            shown.signature = stranger.sign(&statement).0;
        });
        assert_eq!(by_stranger, None);
        let long = [Some(shown.clone()).encode(), vec![0]].concat();
        assert_eq!(traces.accept(&ASK, &long), None);
        assert_eq!(traces.accept(&ASK, &[]), None);
    }

    #[test]
    fn bytes_that_ask_for_nothing_get_no_answer_and_a_long_trace_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, traces) = node(&folder, 40_000);
        reveal(&vault);
        assert!(traces.shown(&ASK).is_some());
        assert_eq!(traces.answer(&ASK.encode()), Some(None::<Shown>.encode()));
        assert_eq!(traces.answer(&[]), None);
        assert_eq!(traces.answer(&[ASK.encode(), vec![0]].concat()), None);
    }
}
