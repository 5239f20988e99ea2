// SPDX-License-Identifier: Apache-2.0
//! SVE-hop: hidden states are sealed for the node that computes them next, always.
//!
//! Client and server of a session agree on a secret by X25519: the client's key is fresh and signed
//! in [`Open`](crate::message::Open). The server's two keys are one that its announcement signs and
//! a fresh one in [`Opened`](crate::message::Opened). Two chains begin with the secret, one for
//! each direction. They are bound to all that [`Binding`] names.
//!
//! ```text
//! K_0 = HKDF-SHA256(salt: SHA-256(domain, keys, binding), X25519(c, S) ‖ X25519(c, F), direction)
//! k_i = HKDF-Expand(K_i, "vector")   p_i = HKDF-Expand(K_i, "push")   K_{i+1} = HKDF-Expand(K_i, "next")
//! ```
//!
//! Message i of the client and its rows are sealed with k_i by ChaCha20-Poly1305, the i-th answer
//! with the k_i of the other chain. A key seals one message, so the nonce is zero. Whatever else
//! the message says is associated data. A repeated, moved, changed or cut message does not open.
//! K_i is erased once K_{i+1} is known: a key that leaks opens nothing earlier.
//!
//! Rows that a server passes on are sealed with p_i of the session that takes them. The client
//! sends p_i to that server within its own sealed message: it opens these rows and nothing else.
//!
//! Sealing keeps out whoever only carries the messages. The servers at its ends read the rows, and
//! rows tell the prompt: `starling-shards invert` shows how much of it.

use std::fmt;

use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit, Nonce};
use codec::Encode;
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

use crate::{
    auth::Account,
    integrity::Digest,
    message::{Output, Refusal, SessionId, Signatures, Span, Work},
    transport::{ModelId, Peer},
    wire::WireFormat,
};

/// Bytes that sealing adds to a message: the tag of Poly1305.
pub const TAG: usize = 16;

/// Bytes of a key. A [`Work`] whose output another server takes carries one more.
pub const KEY: usize = 32;

/// Separates these secrets from all others.
const DOMAIN: &[u8] = b"starling/sve-hop/1";

const VECTOR: &[u8] = b"vector";
const PUSH: &[u8] = b"push";
const NEXT: &[u8] = b"next";

/// A public key of X25519.
pub type SealingKey = [u8; KEY];

/// A secret key of X25519. It is erased when dropped.
pub struct Secret(StaticSecret);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

impl Secret {
    /// A fresh key.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0u8; KEY]);
        getrandom::fill(&mut bytes[..])?;
        Ok(Self(StaticSecret::from(*bytes)))
    }

    /// The public key.
    pub fn public(&self) -> SealingKey {
        PublicKey::from(&self.0).to_bytes()
    }

    fn agree(&self, other: &SealingKey) -> Result<SharedSecret, WeakKey> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*other));
        if shared.was_contributory() {
            Ok(shared)
        } else {
            Err(WeakKey)
        }
    }
}

/// A public key with which every secret is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key for sealing is one that keeps no secret")]
pub struct WeakKey;

/// The purpose of a session's keys. With any other value nothing opens.
#[derive(Clone, Debug, PartialEq, Encode)]
pub struct Binding {
    /// Hash of the genesis block.
    pub network: [u8; 32],
    /// The client.
    pub client: Peer,
    /// Its agent.
    pub client_account: Account,
    /// The server.
    pub server: Peer,
    /// Its agent.
    pub server_account: Account,
    /// The model.
    pub model: ModelId,
    /// The layers.
    pub layers: Span,
    /// The wire format.
    pub wire: WireFormat,
    /// The session.
    pub session: SessionId,
    /// The nonce of the request that opened the session.
    pub nonce: [u8; 16],
}

/// The two chains of a session.
#[derive(Debug)]
pub struct Chains {
    /// From client to server.
    pub up: Chain,
    /// From server to client.
    pub down: Chain,
}

impl Chains {
    /// The client's chains, from the server's announced and its fresh key.
    pub fn of_client(
        own: &Secret,
        announced: &SealingKey,
        fresh: &SealingKey,
        binding: &Binding,
    ) -> Result<Self, WeakKey> {
        let shared = [own.agree(announced)?, own.agree(fresh)?];
        Ok(Self::new(
            &shared,
            [&own.public(), announced, fresh],
            binding,
        ))
    }

    /// The server's chains, from the client's key.
    pub fn of_server(
        announced: &Secret,
        fresh: &Secret,
        client: &SealingKey,
        binding: &Binding,
    ) -> Result<Self, WeakKey> {
        let shared = [announced.agree(client)?, fresh.agree(client)?];
        let keys = [client, &announced.public(), &fresh.public()];
        Ok(Self::new(&shared, keys, binding))
    }

    fn new(shared: &[SharedSecret; 2], keys: [&SealingKey; 3], binding: &Binding) -> Self {
        let salt = Sha256::digest((DOMAIN, keys, binding).encode());
        let mut secret = Zeroizing::new([0u8; 2 * KEY]);
        for (place, shared) in secret.chunks_exact_mut(KEY).zip(shared) {
            place.copy_from_slice(shared.as_bytes());
        }
        let root = Hkdf::new(Some(&salt[..]), &secret[..]);
        let chain = |direction| Chain {
            key: expand(&root, direction),
            index: 0,
        };
        Self {
            up: chain(b"up"),
            down: chain(b"down"),
        }
    }
}

/// 32 bytes for a purpose.
fn expand(key: &Hkdf<Sha256>, purpose: &[u8]) -> Zeroizing<[u8; KEY]> {
    let mut out = Zeroizing::new([0u8; KEY]);
    key.expand(purpose, &mut out[..])
        .expect("HKDF gives up to 255 times 32 bytes");
    out
}

/// A key chain of one direction of a session.
pub struct Chain {
    key: Zeroizing<[u8; KEY]>,
    /// Number of the next message.
    index: u64,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// The keys that a server gets with the rows of a [`Work`].
#[derive(Debug)]
pub struct Keys {
    /// The key of rows that the upstream passes on, if it does.
    pub pushed: Option<VectorKey>,
    /// The key for the output, if another server takes it.
    pub next: Option<VectorKey>,
}

impl Chain {
    /// The keys of the next message. The chain goes on, and cannot go back.
    fn step(&mut self) -> Hkdf<Sha256> {
        let keys = Hkdf::from_prk(&self.key[..]).expect("a key of the chain has 32 bytes");
        self.key = expand(&keys, NEXT);
        self.index = self.index.saturating_add(1);
        keys
    }

    /// Seals the client's next message, whose `data` are the bare rows. `next` is the key for the
    /// server that takes the output. Returns the key with which the upstream seals its rows, if
    /// they are pushed.
    pub fn seal_work(&mut self, work: &mut Work, next: Option<&VectorKey>) -> Option<VectorKey> {
        let keys = self.step();
        let mut data = std::mem::take(&mut work.data);
        data.reserve_exact(TAG + if next.is_some() { KEY } else { 0 });
        if let Some(next) = next {
            data.extend_from_slice(&next.0[..]);
        }
        work.data = VectorKey::new(&keys, VECTOR).seal(&work.bound(), data);
        work.pushed.then(|| VectorKey::new(&keys, PUSH))
    }

    /// Opens the client's next message: its `data` become the bare rows.
    pub fn open_work(&mut self, work: &mut Work) -> Result<Keys, Refusal> {
        if work.sequence != self.index {
            return Err(Refusal::OutOfOrder);
        }
        let keys = self.step();
        let sealed = std::mem::take(&mut work.data);
        let opened = VectorKey::new(&keys, VECTOR).open(&work.bound(), sealed);
        let mut data = opened.ok_or(Refusal::Unsealed)?;
        let next = match work.next {
            Some(_) => {
                let rows = data.len().checked_sub(KEY).ok_or(Refusal::Malformed)?;
                let key = Zeroizing::new(data.split_off(rows));
                let key = <[u8; KEY]>::try_from(&key[..]).map_err(|_| Refusal::Malformed)?;
                Some(VectorKey(Zeroizing::new(key)))
            },
            None => None,
        };
        work.data = data;
        Ok(Keys {
            pushed: work.pushed.then(|| VectorKey::new(&keys, PUSH)),
            next,
        })
    }

    /// Seals the server's next answer: its rows, and the digest of rows that were pushed. The
    /// signatures stay as they are.
    pub fn seal_output(
        &mut self,
        session: SessionId,
        sequence: u64,
        held: u32,
        mut rows: Vec<u8>,
        input: Option<Digest>,
        signatures: Signatures,
    ) -> Output {
        let bound = bound_answer(session, self.index, sequence, held);
        let keys = self.step();
        rows.reserve_exact(TAG + input.map_or(0, |input| input.len()));
        rows.extend(input.iter().flatten());
        Output {
            held,
            signatures,
            data: VectorKey::new(&keys, VECTOR).seal(&bound, rows),
        }
    }

    /// Opens the server's next answer. Returns its rows, followed by the digest of pushed rows.
    pub fn open_output(
        &mut self,
        session: SessionId,
        sequence: u64,
        output: Output,
    ) -> Option<Vec<u8>> {
        let bound = bound_answer(session, self.index, sequence, output.held);
        let keys = self.step();
        VectorKey::new(&keys, VECTOR).open(&bound, output.data)
    }
}

fn bound_answer(session: SessionId, index: u64, sequence: u64, held: u32) -> Vec<u8> {
    (b"down", session, index, sequence, held).encode()
}

fn bound_push(session: SessionId, sequence: u64) -> Vec<u8> {
    (b"push", session, sequence).encode()
}

impl Work {
    /// All of the message but its data, as it is bound to them.
    fn bound(&self) -> Vec<u8> {
        let Self {
            session,
            sequence,
            edits,
            parts,
            data: _,
            pushed,
            next,
        } = self;
        (b"up", session, sequence, edits, parts, pushed, next).encode()
    }
}

/// A key that seals one message.
pub struct VectorKey(Zeroizing<[u8; KEY]>);

impl fmt::Debug for VectorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VectorKey").finish_non_exhaustive()
    }
}

impl VectorKey {
    fn new(keys: &Hkdf<Sha256>, purpose: &[u8]) -> Self {
        Self(expand(keys, purpose))
    }

    /// A key that belongs to no chain.
    #[cfg(test)]
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let secret = Secret::generate()?;
        Ok(Self(Zeroizing::new(secret.public())))
    }

    /// Seals rows for the session and message of another server.
    pub fn seal_push(&self, session: SessionId, sequence: u64, rows: Vec<u8>) -> Vec<u8> {
        self.seal(&bound_push(session, sequence), rows)
    }

    /// Opens rows that another server has passed on.
    pub fn open_push(&self, session: SessionId, sequence: u64, sealed: Vec<u8>) -> Option<Vec<u8>> {
        self.open(&bound_push(session, sequence), sealed)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.0).into())
    }

    fn seal(&self, bound: &[u8], mut data: Vec<u8>) -> Vec<u8> {
        self.cipher()
            .encrypt_in_place(&Nonce::default(), bound, &mut data)
            .expect("a message is far shorter than 256 GiB");
        data
    }

    fn open(&self, bound: &[u8], mut data: Vec<u8>) -> Option<Vec<u8>> {
        let opened = self
            .cipher()
            .decrypt_in_place(&Nonce::default(), bound, &mut data);
        opened.ok().map(|()| data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{encode, Done, Edit, Message, Next, Part, Push};
    use proptest::prelude::*;

    fn binding() -> Binding {
        Binding {
            network: [1; 32],
            client: Peer::new(*b"client"),
            client_account: [2; 32],
            server: Peer::new(*b"server"),
            server_account: [3; 32],
            model: [4; 32],
            layers: Span { start: 1, end: 3 },
            wire: WireFormat::F32,
            session: 7,
            nonce: [5; 16],
        }
    }

    /// The chains of both sides, which see different bindings.
    fn pair(ours: &Binding, theirs: &Binding) -> (Chains, Chains) {
        let [client, announced, fresh] = [0; 3].map(|_| Secret::generate().unwrap());
        let of_client =
            Chains::of_client(&client, &announced.public(), &fresh.public(), ours).unwrap();
        let of_server = Chains::of_server(&announced, &fresh, &client.public(), theirs).unwrap();
        (of_client, of_server)
    }

    fn work(sequence: u64, data: Vec<u8>) -> Work {
        Work {
            session: 7,
            sequence,
            edits: vec![Edit::Drop(4)],
            parts: vec![Part {
                branch: 0,
                position: 5,
                rows: 1,
            }],
            data,
            pushed: false,
            next: None,
        }
    }

    fn unsigned() -> Signatures {
        Signatures {
            key: [0; 32],
            time: 0,
            parts: vec![],
        }
    }

    fn next() -> Option<Next> {
        Some(Next {
            peer: Peer::new(*b"third"),
            session: 9,
            sequence: 3,
        })
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_in_order_and_is_what_it_was(
            rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..9),
        ) {
            let (mut client, mut server) = pair(&binding(), &binding());
            for (sequence, rows) in (0..).zip(rows) {
                let mut sealed = work(sequence, rows.clone());
                client.up.seal_work(&mut sealed, None);
                prop_assert_eq!(server.up.open_work(&mut sealed).map(|_| ()), Ok(()));
                prop_assert_eq!(&sealed.data, &rows);
                let digest = [sequence as u8; 32];
                let output = server.down.seal_output(7, sequence, 11, rows.clone(), Some(digest), unsigned());
                let opened = client.down.open_output(7, sequence, output);
                prop_assert_eq!(opened, Some([&rows[..], &digest[..]].concat()));
            }
        }

        #[test]
        fn one_changed_bit_or_a_cut_and_nothing_opens(at in any::<usize>(), bit in 0u8..8, cut in 1usize..60) {
            let rows = vec![3; 60];
            let (mut client, mut server) = pair(&binding(), &binding());
            let mut sealed = work(0, rows.clone());
            client.up.seal_work(&mut sealed, None);
            let at = at % sealed.data.len();
            sealed.data[at] ^= 1 << bit;
            prop_assert_eq!(server.up.open_work(&mut sealed).map(|_| ()), Err(Refusal::Unsealed));

            let mut output = server.down.seal_output(7, 0, 11, rows, None, unsigned());
            output.data.truncate(output.data.len() - cut);
            prop_assert_eq!(client.down.open_output(7, 0, output), None);
        }
    }

    #[test]
    fn keys_are_bound_to_everything_that_the_session_is_about() {
        let changes: [fn(&mut Binding); 10] = [
            |binding| binding.network = [0; 32],
            |binding| binding.client = Peer::new(*b"thief"),
            |binding| binding.client_account = [0; 32],
            |binding| binding.server = Peer::new(*b"thief"),
            |binding| binding.server_account = [0; 32],
            |binding| binding.model = [0; 32],
            |binding| binding.layers.end = 4,
            |binding| binding.wire = WireFormat::F16,
            |binding| binding.session = 8,
            |binding| binding.nonce = [0; 16],
        ];
        for (i, change) in changes.into_iter().enumerate() {
            let mut other = binding();
            change(&mut other);
            let (mut client, mut server) = pair(&binding(), &other);
            let mut sealed = work(0, vec![1; 8]);
            client.up.seal_work(&mut sealed, None);
            let opened = server.up.open_work(&mut sealed).map(|_| ());
            assert_eq!(opened, Err(Refusal::Unsealed), "change {i}");
            let output = server
                .down
                .seal_output(7, 0, 0, vec![1; 8], None, unsigned());
            let opened = client.down.open_output(7, 0, output);
            assert_eq!(opened, None, "change {i}");
        }
    }

    #[test]
    fn whatever_a_message_says_besides_its_rows_is_sealed_with_them() {
        let changes: [fn(&mut Work); 6] = [
            |work| work.session = 8,
            |work| work.edits.clear(),
            |work| work.parts[0].position = 4,
            |work| work.parts[0].branch = 1,
            |work| work.pushed = true,
            |work| work.next = next(),
        ];
        for (i, change) in changes.into_iter().enumerate() {
            let (mut client, mut server) = pair(&binding(), &binding());
            let mut sealed = work(0, vec![1; 80]);
            client.up.seal_work(&mut sealed, None);
            change(&mut sealed);
            let opened = server.up.open_work(&mut sealed).map(|_| ());
            assert_eq!(opened, Err(Refusal::Unsealed), "change {i}");
        }
        let open = |sequence, change: fn(&mut Output)| {
            let (mut client, mut server) = pair(&binding(), &binding());
            let mut output = server
                .down
                .seal_output(7, 2, 11, vec![1; 8], None, unsigned());
            change(&mut output);
            client.down.open_output(7, sequence, output)
        };
        assert_eq!(open(2, |_| {}), Some(vec![1; 8]));
        assert_eq!(open(3, |_| {}), None, "the answer to another message");
        assert_eq!(open(2, |output| output.held = 1), None);
    }

    #[test]
    fn repeated_moved_and_missing_messages_are_refused() {
        let sealed = || {
            let (mut client, server) = pair(&binding(), &binding());
            let works = [0, 1, 2].map(|sequence| {
                let mut sealed = work(sequence, vec![sequence as u8; 8]);
                client.up.seal_work(&mut sealed, None);
                sealed
            });
            (works, client, server)
        };
        let open =
            |server: &mut Chains, work: &Work| server.up.open_work(&mut work.clone()).map(|_| ());
        // Under its own number, a message at the wrong time is out of order.
        let (works, _, mut server) = sealed();
        assert_eq!(open(&mut server, &works[1]), Err(Refusal::OutOfOrder));
        assert_eq!(open(&mut server, &works[0]), Ok(()));
        assert_eq!(open(&mut server, &works[0]), Err(Refusal::OutOfOrder));
        assert_eq!(open(&mut server, &works[2]), Err(Refusal::OutOfOrder));
        // Under the awaited number, it does not open.
        for (which, number) in [(1, 0), (0, 1), (2, 1)] {
            let (works, _, mut server) = sealed();
            if number == 1 {
                assert_eq!(open(&mut server, &works[0]), Ok(()));
            }
            let mut moved = works[which].clone();
            moved.sequence = number;
            assert_eq!(open(&mut server, &moved), Err(Refusal::Unsealed));
        }
        // Answers carry no number of their own: their order is that of the chain.
        let (_, mut client, mut server) = sealed();
        let first = server
            .down
            .seal_output(7, 0, 0, vec![1; 8], None, unsigned());
        let second = server
            .down
            .seal_output(7, 1, 0, vec![2; 8], None, unsigned());
        assert!(client.down.open_output(7, 0, first.clone()).is_some());
        assert_eq!(client.down.open_output(7, 0, first), None, "repeated");
        let (_, mut client, _) = sealed();
        assert_eq!(client.down.open_output(7, 1, second), None, "one missing");
    }

    #[test]
    fn pushed_rows_open_for_one_message_of_one_session() {
        let (mut client, mut server) = pair(&binding(), &binding());
        let (mut to_third, mut third) = pair(&binding(), &binding());
        // The third server is told first, as the schedule does.
        let mut awaiting = work(0, vec![]);
        awaiting.pushed = true;
        let key = to_third.up.seal_work(&mut awaiting, None).unwrap();
        let mut first = work(0, vec![1; 8]);
        first.next = next();
        assert!(client.up.seal_work(&mut first, Some(&key)).is_none());
        let relayed = server.up.open_work(&mut first).unwrap();
        assert_eq!(first.data, [1; 8], "the key is no row");
        assert!(relayed.pushed.is_none());
        let push = relayed.next.unwrap().seal_push(9, 3, vec![6; 8]);
        let awaited = third.up.open_work(&mut awaiting).unwrap().pushed.unwrap();
        let open =
            |session, sequence, data: &[u8]| awaited.open_push(session, sequence, data.to_vec());
        assert_eq!(open(9, 3, &push), Some(vec![6; 8]));
        assert_eq!(open(9, 4, &push), None);
        assert_eq!(open(8, 3, &push), None);
        assert_eq!(open(9, 3, &push[1..]), None);
        // The key of another message opens nothing, nor does the key of the client's own rows.
        let mut later = work(1, vec![]);
        later.pushed = true;
        to_third.up.seal_work(&mut later, None);
        let other = third.up.open_work(&mut later).unwrap().pushed.unwrap();
        assert_eq!(other.open_push(9, 3, push), None);
    }

    #[test]
    fn a_key_that_keeps_no_secret_is_refused() {
        let [own, good] = [0; 2].map(|_| Secret::generate().unwrap());
        let weak = [0; 32];
        for (announced, fresh) in [(weak, good.public()), (good.public(), weak)] {
            let chains = Chains::of_client(&own, &announced, &fresh, &binding());
            assert_eq!(chains.err(), Some(WeakKey));
        }
        let chains = Chains::of_server(&own, &good, &weak, &binding());
        assert_eq!(chains.err(), Some(WeakKey));
    }

    #[test]
    fn sealing_costs_sixteen_bytes_a_message_and_a_key_for_each_receiver() {
        let (mut client, mut server) = pair(&binding(), &binding());
        // Long enough that the length of the data takes as many bytes with the tag as without it.
        for (sequence, next) in [(0, None), (1, next())] {
            let mut message = work(sequence, vec![1; 2_304]);
            message.next = next;
            let bare = encode(&Message::Work(message.clone())).len();
            let key = message
                .next
                .is_some()
                .then(|| VectorKey(Zeroizing::new([1; KEY])));
            client.up.seal_work(&mut message, key.as_ref());
            let sealed = encode(&Message::Work(message)).len();
            let more = if key.is_some() { KEY } else { 0 };
            assert_eq!(sealed - bare, TAG + more);
        }
        let done = |output| {
            let done = Done {
                session: 7,
                sequence: 0,
                result: Ok(output),
            };
            encode(&Message::Done(done)).len()
        };
        let bare = done(Output {
            held: 5,
            signatures: unsigned(),
            data: vec![1; 2_304],
        });
        let sealed = server
            .down
            .seal_output(7, 0, 5, vec![1; 2_304], None, unsigned());
        assert_eq!(done(sealed) - bare, TAG);
        let push = |data| {
            let push = Push {
                session: 7,
                sequence: 0,
                data,
            };
            encode(&Message::Push(push)).len()
        };
        let key = VectorKey(Zeroizing::new([1; KEY]));
        let sealed = key.seal_push(7, 0, vec![1; 2_304]);
        assert_eq!(push(sealed) - push(vec![1; 2_304]), TAG);
    }
}
