// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};
use starling_primitives::messages::Message;

#[test]
fn a_message_goes_before_any_tip_and_once_a_slot() {
    run(|| {
        let id = ask();
        next_block();
        let sealed = seal(id, 1, "text");
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

/// Every feeless call, as agent 1 may send it now, one a phase.
fn each_call(check: impl Fn(Call<Test>)) {
    run(|| {
        RevealWindow::set(30);
        RankWindow::set(30);
        DiscloseWindow::set(30);
        CommitWindow::set(30);
        blocks(10);
        let id = ask();
        next_block();
        let sealed = seal(id, 1, &answer(1));
        check(commit_call(id, 1, sealed, &secret(id, 1)));
        check(pass_call(id, 1));
        AGENTS.for_each(|who| commit(id, who));
        next_block();
        check(reveal_call(id, 1, secret(id, 1)));
        AGENTS.for_each(|who| reveal(id, who));
        next_block();
        let all = all_scores(id, AGENTS, honest);
        check(commit_scores_call(id, 1, round(id).seed.unwrap(), &all[&1]));
        commit_all(id, &all);
        next_block();
        check(disclose_call(id, 1, &all[&1]));
        disclose_all(id, &all);
        next_block();
        assert_eq!(phase(id), Phase::Done);
    });
}

/// The call with its proof changed by `change`, which also sees the signed message.
fn with_proof(mut call: Call<Test>, change: impl Fn(u64, &Message) -> Proof) -> Call<Test> {
    match &mut call {
        Call::commit {
            round,
            sealed,
            key_commitment,
            proof,
            ..
        } => {
            let message = Message::Commit {
                sealed,
                key_commitment: *key_commitment,
            };
            *proof = change(*round, &message);
        },
        Call::pass { round, proof, .. } => *proof = change(*round, &Message::Pass),
        Call::reveal {
            round, key, proof, ..
        } => *proof = Some(change(*round, &Message::Reveal { key })),
        Call::commit_scores {
            round,
            seed,
            commitment,
            proof,
            ..
        } => {
            let message = Message::CommitScores {
                seed: *seed,
                commitment: *commitment,
            };
            *proof = change(*round, &message);
        },
        Call::disclose {
            round,
            scores,
            salt,
            proof,
            ..
        } => *proof = Some(change(*round, &Message::Disclose { scores, salt })),
        _ => unreachable!("a request is paid for"),
    }
    call
}

/// Only the pool gets `Error::BadSignature` and `Error::MessageExpired`, in its own terms: a
/// dispatch does not check the proof again.
#[test]
fn every_call_is_refused_with_the_signature_of_another_key() {
    each_call(|call| {
        let now = Rounds_::now();
        let own = with_proof(call.clone(), |id, it| sign_at(id, 1, it, now, &pair(1)));
        assert!(validate(own).is_ok(), "{call:?}");
        let others = with_proof(call.clone(), |id, it| sign_at(id, 1, it, now, &pair(2)));
        let bad = Err(InvalidTransaction::BadProof.into());
        assert_eq!(validate(others), bad, "{call:?}");
        let for_another = with_proof(call.clone(), |id, it| sign_at(id, 2, it, now, &pair(1)));
        assert_eq!(validate(for_another), bad, "{call:?}");
        let for_another = with_proof(call.clone(), |id, it| sign_at(id + 1, 1, it, now, &pair(1)));
        assert_eq!(validate(for_another), bad, "{call:?}");
    });
}

#[test]
fn every_call_lives_for_a_while_only() {
    each_call(|call| {
        let at = |block: u32| {
            let signed = |id, message: &Message| sign_at(id, 1, message, block, &pair(1));
            validate(with_proof(call.clone(), signed)).map(|valid| valid.priority)
        };
        let now = Rounds_::now();
        let oldest = now - Longevity::get();
        assert_eq!(at(now), Ok(MessagePriority::get() + u64::from(now)));
        assert_eq!(at(oldest), Ok(MessagePriority::get() + u64::from(oldest)));
        let stale = Err(InvalidTransaction::Stale.into());
        assert_eq!(at(oldest - 1), stale, "{call:?}");
        let early = Err(UnknownTransaction::CannotLookup.into());
        assert_eq!(at(now + 1), early, "{call:?}");
    });
}

#[test]
fn messages_are_bound_to_the_hash_of_the_genesis_block() {
    run(|| {
        let genesis = System::block_hash(0);
        assert_ne!(genesis, Default::default());
        assert_eq!(slot(3, &1).genesis, genesis);
        blocks(3);
        assert_eq!(slot(3, &1).genesis, genesis);
    });
}

#[test]
fn a_message_to_a_round_that_is_gone_is_stale() {
    run(|| {
        let id = ask();
        next_block();
        let call = pass_call(id, 1);
        assert!(validate(call.clone()).is_ok());
        blocks(CommitWindow::get() + RetentionPeriod::get() + 2);
        while Rounds_::purge(100).is_some() {}
        assert_refused(
            pass_call(id, 1),
            InvalidTransaction::Stale,
            Error::UnknownRound,
        );
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
    // The authorization makes all checks of the dispatch: see `assert_refused`, which every refusal
    // in the other files uses. A message that it lets in succeeds.
    run(|| {
        let id = ask();
        play(id, 6, honest);
        assert_eq!(phase(id), Phase::Done);
    });
}
