// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};
use starling_primitives::messages::Message;

#[test]
fn a_message_goes_before_any_tip_and_once_a_slot() {
    run(|| {
        let id = ask();
        next_block();
        let sealed = slot(id, &1).seal(&secret(id, 1), "text").unwrap();
        let valid = validate(commit_call(id, 1, sealed, &secret(id, 1))).unwrap();
        assert_eq!(
            valid.priority,
            MessagePriority::get() + u64::from(Rounds_::now())
        );
        assert_eq!(valid.longevity, u64::from(Longevity::get()));
        assert!(valid.propagate);
        assert_eq!(valid.provides.len(), 1);
        let pass = validate(pass_call(id, 1)).unwrap();
        assert_eq!(pass.provides, valid.provides, "either a commit or a pass");
        let other = validate(pass_call(id, 2)).unwrap();
        assert_ne!(other.provides, valid.provides);
    });
}

#[test]
fn a_later_message_replaces_an_earlier_one() {
    run(|| {
        let id = ask();
        next_block();
        let first = validate(pass_call(id, 1)).unwrap();
        next_block();
        let second = validate(pass_call(id, 1)).unwrap();
        assert_eq!(first.provides, second.provides);
        assert!(second.priority > first.priority);
    });
}

#[test]
fn a_signature_by_another_key_is_no_proof() {
    run(|| {
        let id = ask();
        next_block();
        let signed_at = Rounds_::now();
        let proof = sign_at(id, 1, &Message::Pass, signed_at, &pair(2));
        let call = Call::pass {
            round: id,
            agent: 1,
            proof,
        };
        assert_eq!(validate(call), Err(InvalidTransaction::BadProof.into()));
        let Call::pass { mut proof, .. } = pass_call(id, 1) else {
            unreachable!()
        };
        proof.signed_at -= 1;
        let call = Call::pass {
            round: id,
            agent: 1,
            proof,
        };
        assert_eq!(validate(call), Err(InvalidTransaction::BadProof.into()));
    });
}

#[test]
fn a_signature_for_another_account_round_or_message_is_no_proof() {
    run(|| {
        let (id, other) = (ask(), ask());
        next_block();
        let Call::pass { proof, .. } = pass_call(id, 1) else {
            unreachable!()
        };
        for (round, agent) in [(other, 1), (id, 2)] {
            let call = Call::pass {
                round,
                agent,
                proof: proof.clone(),
            };
            assert_eq!(validate(call), Err(InvalidTransaction::BadProof.into()));
        }
        let key_commitment = slot(id, &1).key_commitment(&secret(id, 1));
        let call = Call::commit {
            round: id,
            agent: 1,
            sealed: vec![1; 20],
            key_commitment,
            proof,
        };
        assert_eq!(validate(call), Err(InvalidTransaction::BadProof.into()));
    });
}

#[test]
fn a_message_lives_for_a_while_only() {
    run(|| {
        CommitWindow::set(30);
        blocks(10);
        let id = ask();
        next_block();
        let now = Rounds_::now();
        let at = |signed_at| {
            let proof = sign_at(id, 1, &Message::Pass, signed_at, &pair(1));
            validate(Call::pass {
                round: id,
                agent: 1,
                proof,
            })
        };
        assert_eq!(
            at(now + 1),
            Err(UnknownTransaction::CannotLookup.into()),
            "a block ahead"
        );
        assert!(at(now).is_ok());
        assert!(at(now - Longevity::get()).is_ok());
        assert_eq!(
            at(now - Longevity::get() - 1),
            Err(InvalidTransaction::Stale.into())
        );
    });
}

#[test]
fn the_dispatch_of_what_was_let_in_never_fails() {
    // Everything that the dispatch tests, the authorization has tested: see `assert_refused`,
    // through which every refusal of the other files goes. What it lets in, goes through.
    run(|| {
        let id = ask();
        play(id, 6, honest);
        assert_eq!(phase(id), Phase::Done);
    });
}
