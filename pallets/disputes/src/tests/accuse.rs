// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_core::Pair;
use sp_runtime::transaction_validity::InvalidTransaction;
use starling_evidence::{messages::Accusation, Claim, Code, Evidence};
use starling_primitives::{crypto::InferencePair, messages::ownership_payload};

use crate::{mock::*, Against, Claims, Error, Event, Known, OpenCases, Phase};

/// The error for an accusation that was changed.
fn refused(change: impl FnOnce(&mut Accusation)) -> Error<Test> {
    let mut accusation = accusation(1);
    change(&mut accusation);
    Disputes::check_accuse(&accuser(), &accusation).expect_err("it was changed")
}

/// The error for claims that both agents signed, changed in the same way.
fn refused_claims(change: impl Fn(&mut Claim)) -> Error<Test> {
    refused(|accusation| {
        let exhibit = exhibit(1);
        let [first, second] = [&exhibit.first, &exhibit.second].map(|output| {
            let mut claim = claim(&exhibit, output);
            change(&mut claim);
            claim
        });
        let [one, other] = accused();
        accusation.evidence = Evidence {
            first: answer(&Signer::of(&one), first),
            second: answer(&Signer::of(&other), second),
        };
    })
}

#[test]
fn an_accusation_locks_what_may_be_lost() {
    run(|| {
        let id = opened(1);
        let case = case(id);
        assert_eq!((case.phase, case.bond), (Phase::Drawing, ACCUSATION_BOND));
        assert_eq!(case.stakes, (STAKE, STAKE));
        assert_eq!(lockable(&accuser()), BOND - ACCUSATION_BOND);
        for who in accused() {
            assert_eq!(lockable(&who), BOND - STAKE);
            assert_eq!(Against::<Test>::get(who), 1);
        }
        assert_eq!(OpenCases::<Test>::get(), 1);
        assert!(Claims::<Test>::iter_values().all(|known| known == Known::Open));
        let opened = Event::Opened {
            case: id,
            accuser: accuser(),
            first: account(1),
            second: account(2),
            bond: ACCUSATION_BOND,
        };
        assert_eq!(events().last(), Some(&opened));
    });
}

#[test]
fn an_account_may_accuse_for_its_own_agent_alone() {
    run(|| {
        let accusation = accusation(1);
        assert_noop!(
            Disputes::accuse(
                RuntimeOrigin::signed(account(4)),
                accuser(),
                Box::new(accusation.clone()),
                None,
            ),
            Error::<Test>::NotTheAgent
        );
        assert_ok!(accuse_signed(&accuser(), &accusation));
    });
}

#[test]
fn the_pool_wants_the_key_of_the_accuser() {
    run(|| {
        let accusation = accusation(1);
        let call = |signature| crate::Call::accuse {
            agent: accuser(),
            accusation: Box::new(accusation.clone()),
            signature,
        };
        let bad = Err(Refused::Pool(InvalidTransaction::BadProof.into()));
        assert_eq!(send(call(None)), bad);
        assert_eq!(send(call(Some([1; 64]))), bad);
        assert_eq!(OpenCases::<Test>::get(), 0);
    });
}

#[test]
fn evidence_that_proves_nothing_is_refused_by_name() {
    run(|| {
        let same_agent = refused(|it| it.evidence.second = it.evidence.first.clone());
        assert_eq!(same_agent, Error::SameAgent);
        let other = refused(|it| it.evidence.second.claim.body.before[0] ^= 1);
        assert_eq!(other, Error::OtherQuestion);
        let same = refused(|it| {
            it.evidence.second.claim.body.output = it.evidence.first.claim.body.output;
        });
        assert_eq!(same, Error::SameOutput);
        let forged = refused(|it| it.evidence.second.claim.signature[3] ^= 1);
        assert_eq!(forged, Error::BadSignature);
        let elsewhere = refused(|it| it.network = [9; 32]);
        assert_eq!(elsewhere, Error::WrongChain);
        let unknown = refused(|it| it.evidence.first.claim.account = [99; 32]);
        assert_eq!(unknown, Error::UnknownKey);
    });
}

#[test]
fn claims_about_nothing_or_in_a_coarse_code_are_refused_by_name() {
    run(|| {
        assert_eq!(refused_claims(|it| it.rows = 0), Error::IndexOutside);
        assert_eq!(refused_claims(|it| it.layers = (9, 9)), Error::IndexOutside);
        let beyond = refused_claims(|it| it.positions = u32::MAX);
        assert_eq!(beyond, Error::IndexOutside);
        let coarse = refused_claims(|it| it.wire = Code::Linear8Row);
        assert_eq!(coarse, Error::WrongCode);
        let mixed = refused(|it| it.evidence.second.claim.body.wire = Code::F32);
        assert_eq!(mixed, Error::WrongCode);
    });
}

#[test]
fn claims_of_another_time_are_refused_by_name() {
    run(|| {
        let now = Clock::get();
        let old = refused_claims(|it| it.time = now - PARAMETERS.evidence_life - 1);
        assert_eq!(old, Error::TooOld);
        let early = refused_claims(|it| it.time = now + 60_001);
        assert_eq!(early, Error::FromTheFuture);
        // Both ends are in time.
        Clock::set(now + PARAMETERS.evidence_life);
        let mut accusation = accusation(1);
        for answer in [
            &mut accusation.evidence.first,
            &mut accusation.evidence.second,
        ] {
            let signer = Signer::of(&answer.claim.account.into());
            let mut claim = answer.claim.body.clone();
            claim.time = now;
            *answer = crate::mock::answer(&signer, claim);
        }
        assert_eq!(accuse(&accuser(), &accusation), Ok(()));
    });
}

#[test]
fn evidence_that_was_signed_for_another_chain_is_no_evidence_here() {
    run(|| {
        let foreign = refused(|it| {
            let [one, _] = accused();
            let body = it.evidence.first.claim.body.clone();
            let (signer, peer) = (Signer::of(&one), it.evidence.first.peer.clone());
            let signed =
                starling_evidence::Signed::new(body, &signer, &[9; 32], &peer, None).unwrap();
            it.evidence.first.claim = signed;
        });
        assert_eq!(foreign, Error::BadSignature);
    });
}

#[test]
fn what_an_old_key_signed_counts_and_an_unknown_key_signs_nothing() {
    run(|| {
        let [one, _] = accused();
        let stranger = refused(|it| {
            let signer = Signer {
                account: one.clone(),
                pair: InferencePair::from_seed(&[99; 32]),
            };
            it.evidence.first = answer(&signer, it.evidence.first.claim.body.clone());
        });
        assert_eq!(stranger, Error::UnknownKey);
        // The key of another agent.
        let posed = refused(|it| {
            let signer = Signer {
                account: one.clone(),
                pair: pair(&account(9)),
            };
            it.evidence.first = answer(&signer, it.evidence.first.claim.body.clone());
        });
        assert_eq!(posed, Error::UnknownKey);
        // A key that is no longer in force.
        let signed = accusation(1);
        let new = InferencePair::from_seed(&[98; 32]);
        let proof = new.sign(&ownership_payload(genesis().into(), &one));
        assert_ok!(Agents::rotate_key(
            RuntimeOrigin::signed(one.clone()),
            new.public(),
            proof
        ));
        assert_eq!(accuse(&accuser(), &signed), Ok(()));
        // An accuser signs with the key in force.
        let mut by_old = accusation(2);
        by_old.evidence.first = answer(
            &Signer {
                account: one.clone(),
                pair: new,
            },
            by_old.evidence.first.claim.body.clone(),
        );
        let bad = Refused::Pool(InvalidTransaction::BadProof.into());
        assert_eq!(accuse(&one, &by_old), Err(bad));
    });
}

#[test]
fn a_claim_is_before_one_court_at_a_time() {
    run(|| {
        opened(1);
        let again = accuse_signed(&account(4), &accusation(1));
        assert_eq!(again, Err(Error::<Test>::AlreadyAccused.into()));
    });
}

#[test]
fn nobody_is_before_more_courts_than_it_has_bonds_for() {
    run(|| {
        opened(1);
        opened(3);
        assert_eq!(
            accuse_signed(&account(4), &accusation(5)),
            Err(Error::<Test>::TooManyAgainst.into())
        );
    });
}

#[test]
fn an_accuser_needs_a_bond_and_a_place() {
    run(|| {
        assert_eq!(
            accuse_signed(&account(100), &accusation(1)),
            Err(Error::<Test>::NotAnAgent.into())
        );
        MaxCases::set(0);
        assert_eq!(
            accuse_signed(&accuser(), &accusation(1)),
            Err(Error::<Test>::TooManyCases.into())
        );
        MaxCases::set(16);
        MaxVerdicts::set(1);
        assert_eq!(
            accuse_signed(&accuser(), &accusation(1)),
            Err(Error::<Test>::TooManyCases.into())
        );
        MaxVerdicts::set(64);
        // All of its bond but less than the bond of a case is unbonding and withdrawn later.
        let origin = RuntimeOrigin::signed(accuser());
        assert_ok!(Agents::unbond(origin.clone(), BOND - 1_000));
        to_block(now() + 201);
        assert_ok!(Agents::withdraw_unbonded(origin));
        let bond = crate::Parameters {
            deposit: 2_000,
            ..PARAMETERS
        };
        assert_ok!(Disputes::set_parameters(RuntimeOrigin::root(), bond));
        assert_eq!(
            accuse_signed(&accuser(), &accusation(1)),
            Err(Error::<Test>::BondNotFree.into())
        );
    });
}
