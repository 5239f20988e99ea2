// SPDX-License-Identifier: Apache-2.0
//! The ends of phases.

use alloc::{collections::BTreeMap, vec::Vec};
use frame_support::traits::Get;
use starling_primitives::{
    assignment::{self, Assignment},
    commitment::assignment_seed,
    fixed, quality,
    rating::{self, Deviations},
    selection::Tally,
    traits::{Choice as _, ChoiceInput, Ranked, Ratings as _},
    Position, RoundId, Secret, H256,
};

use crate::{
    BlockNumber, Config, Due, Ended, EndedQueue, Entries, Entry, Event, Failure, Pallet,
    ParticipantOf, Participants, Phase, Ranking, Response, RoundOf, Rounds, Undrawn, Void,
    VoidQueue,
};

impl<T: Config> Pallet<T> {
    /// Ends the present phase of a round.
    pub(crate) fn advance(id: RoundId) {
        let Some(round) = Rounds::<T>::get(id) else {
            Self::unschedule(id);
            return;
        };
        match round.phase {
            // A late commit has given it hope again.
            Phase::Committing if Self::now() < round.deadline && !Self::is_complete(id, &round) => {
                Self::reschedule(Due {
                    at: round.deadline,
                    round: id,
                    since: Some(round.since),
                    agents: round.terms.max_responses,
                })
            },
            Phase::Committing => Self::end_committing(id, round),
            Phase::Revealing => Self::end_revealing(id, round),
            Phase::Ranking => Self::end_ranking(id, round),
            Phase::Disclosing => Self::end_disclosing(id, round),
            Phase::Done | Phase::Failed(_) => Self::rate(id, round),
        }
    }

    /// Checks `min_responses` on commits, before anything is public.
    pub(crate) fn end_committing(id: RoundId, round: RoundOf<T>) {
        Self::note_silence(id, &round);
        if round.counts.commits < round.terms.min_responses {
            Self::fail(id, round, Failure::TooFewCommits);
        } else {
            // There is one place for each open round, so there is room. Without the hash the seed
            // would be weaker, but never missing.
            let _ = Undrawn::<T>::try_append(id);
            let agents = round.counts.commits;
            Self::begin(id, round, Phase::Revealing, T::RevealWindow::get(), agents);
        }
        Self::leave_committing(id);
    }

    /// With enough valid responses to rank, assigns them to rankers with weights: equation (2).
    ///
    /// `min_responses` does not count any more. The revealed responses are public, and a requester
    /// must not get them for less because somebody withheld a key.
    pub(crate) fn end_revealing(id: RoundId, mut round: RoundOf<T>) {
        let enough = T::MinResponses::get().min(round.terms.min_responses);
        if round.counts.valid < enough {
            return Self::fail(id, round, Failure::TooFewReveals);
        }
        let mut agents: Vec<(T::AccountId, ParticipantOf<T>, Secret)> =
            Participants::<T>::iter_prefix(id)
                .filter_map(|(agent, participant)| match participant.response {
                    Response::Valid { key, .. } => Some((agent, participant, key)),
                    Response::Sealed | Response::Spoiled => None,
                })
                .collect();
        agents.sort_by(|(left, ..), (right, ..)| left.cmp(right));
        let keys: Vec<Secret> = agents.iter().map(|(_, _, key)| *key).collect();
        let seed = assignment_seed(id, round.commit_randomness.unwrap_or_default(), &keys);

        let n = round.counts.valid;
        let k = assignment::rankings(n, T::MinRankings::get(), T::MaxRankings::get());
        let ratings: Vec<u64> = agents
            .iter()
            .map(|(agent, ..)| T::Ratings::rating(agent))
            .collect();
        let rated = ratings.iter().copied().zip(T::Ratings::weights(&ratings));
        let mut weights = BTreeMap::new();
        let mut order = BTreeMap::new();
        for (((agent, mut participant, key), position), (rating, weight)) in agents
            .into_iter()
            .zip(assignment::positions(seed, n))
            .zip(rated)
        {
            weights.insert(position, weight);
            participant.response = Response::Valid {
                key,
                position,
                rating,
                weight,
            };
            Participants::<T>::insert(id, &agent, participant);
            order.insert(position, agent);
        }
        let assignment = Assignment::new(seed, n, k);
        for (position, agent) in order {
            let assigned = assignment
                .rankers(position)
                .iter()
                .filter_map(|ranker| weights.get(ranker))
                .fold(0u64, |sum, weight| sum.saturating_add(*weight));
            let tally = Tally {
                assigned,
                ..Default::default()
            };
            Entries::<T>::insert(id, position, Entry { agent, tally });
        }
        round.seed = Some(seed);
        round.rankings = k;
        Self::begin(id, round, Phase::Ranking, T::RankWindow::get(), n);
    }

    /// Waits only for agents that committed scores; without any, the round ends.
    pub(crate) fn end_ranking(id: RoundId, round: RoundOf<T>) {
        if round.counts.score_commits == 0 {
            return Self::fail(id, round, Failure::NoRankings);
        }
        let agents = round.counts.commits;
        let agents = match T::Choice::is_counted(id) && agents <= Self::most_counted() {
            true => Self::room_for_counting(agents),
            false => agents,
        };
        Self::begin(
            id,
            round,
            Phase::Disclosing,
            T::DiscloseWindow::get(),
            agents,
        );
    }

    /// Maximum number of agents whose answers are counted: their texts must be read in one block.
    pub(crate) fn most_counted() -> u32 {
        T::MaxTransitionAgents::get().saturating_mul(2) / 3
    }

    /// The number of agents whose settlement is as much work as the settlement of `agents` with
    /// their answers counted.
    pub(crate) fn room_for_counting(agents: u32) -> u32 {
        agents.saturating_add(agents.div_ceil(2))
    }

    /// Chooses the best response.
    pub(crate) fn end_disclosing(id: RoundId, round: RoundOf<T>) {
        let best = round.seed.and_then(|seed| Self::best(id, seed, &round));
        let threshold = Self::approval_threshold();
        match best {
            None => Self::fail(id, round, Failure::NoRankings),
            Some((_, tally)) if !tally.reaches(threshold) => {
                Self::fail(id, round, Failure::BelowThreshold)
            },
            Some((winner, _)) => {
                let round = RoundOf::<T> {
                    phase: Phase::Done,
                    winner: Some(winner),
                    ..round
                };
                Self::end(id, round);
            },
        }
    }

    fn best(id: RoundId, seed: H256, round: &RoundOf<T>) -> Option<(T::AccountId, Tally)> {
        let entries = Entries::<T>::iter_prefix(id);
        let responses: Vec<_> = entries
            .map(|(position, Entry { agent, tally })| Ranked {
                position,
                agent,
                tally,
            })
            .collect();
        T::Choice::best(&ChoiceInput {
            round: id,
            seed,
            responses: &responses,
            has_room: round.counts.commits <= Self::most_counted(),
            scores: &|agent: &T::AccountId| Self::disclosed_scores(id, agent),
            text: &|agent: &T::AccountId| Self::text_of(id, agent),
        })
    }

    /// Moves the ratings of one page of a round's rankers, and the records of their answers.
    ///
    /// An answer is compared with the responses that its author ranked, without the author's
    /// scores: they are drawn, and nobody improves its record by what it says of others.
    pub(crate) fn rate(id: RoundId, mut round: RoundOf<T>) {
        let mean = T::Ratings::mean();
        let mut tallies = BTreeMap::new();
        let page = T::RatingPage::get().min(round.counts.valid.saturating_sub(round.rated));
        for _ in 0..page {
            let place = Position::try_from(round.rated).ok();
            round.rated = round.rated.saturating_add(1);
            let Some(entry) = place.and_then(|place| Entries::<T>::get(id, place)) else {
                continue;
            };
            let participant = Participants::<T>::get(id, &entry.agent);
            let Some(ParticipantOf::<T> {
                response: Response::Valid { weight, .. },
                ranking: Ranking::Disclosed(scores),
                ..
            }) = participant
            else {
                continue;
            };
            let mut deviations = Deviations::default();
            for (response, score) in &scores {
                let tally = tallies.entry(*response).or_insert_with(|| {
                    Entries::<T>::get(id, response)
                        .map(|entry| entry.tally)
                        .unwrap_or_default()
                });
                rating::deviate(&mut deviations, weight, *score, tally, mean);
            }
            T::Ratings::record(&entry.agent, deviations);
            let others = scores.iter().filter_map(|(response, score)| {
                let tally = tallies.get(response)?;
                Some(tally.without(weight, *score))
            });
            if let Some(standing) = quality::standing(&entry.tally, others) {
                T::Ratings::answered(&entry.agent, standing);
            }
        }
        if round.rated < round.counts.valid {
            Self::reschedule(Self::rating_page(id, &round));
            Rounds::<T>::insert(id, round);
        } else {
            Self::deposit_event(Event::Rated { round: id });
            Self::retire(id, round);
        }
    }

    pub(crate) fn fail(id: RoundId, round: RoundOf<T>, failure: Failure) {
        Self::end(
            id,
            RoundOf::<T> {
                phase: Phase::Failed(failure),
                ..round
            },
        );
    }

    /// Settles a finished round. The ratings of its rankers move if it has a winner and counts. A
    /// failed round gives half of the fee back, so it would be a cheap way to farm ratings.
    pub(crate) fn end(id: RoundId, mut round: RoundOf<T>) {
        round.since = Self::now();
        round.deadline = round.since;
        Self::uncount_request(&round.requester);
        let spread = Self::settle(id, &round);
        let counts = T::Ratings::counts(round.counts.disclosures, round.terms.fee, spread);
        if round.phase == Phase::Done && counts {
            Self::reschedule(Self::rating_page(id, &round));
            Rounds::<T>::insert(id, round);
        } else {
            Self::retire(id, round);
        }
    }

    fn rating_page(id: RoundId, round: &RoundOf<T>) -> Due {
        Due {
            at: Self::now().saturating_add(1),
            round: id,
            since: None,
            agents: T::RatingPage::get().min(round.counts.valid),
        }
    }

    /// Keeps a round for reading, and for a later purge. A round without anything to read is purged
    /// from the next block on.
    fn retire(id: RoundId, mut round: RoundOf<T>) {
        Self::unschedule(id);
        let is_void = matches!(
            round.phase,
            Phase::Failed(Failure::TooFewCommits | Failure::Outbid)
        );
        if is_void {
            let (place, queue) = VoidQueue::<T>::get().pushed();
            Void::<T>::insert(place, id);
            VoidQueue::<T>::put(queue);
        } else {
            round.deadline = Self::now().saturating_add(T::RetentionPeriod::get());
            let (place, queue) = EndedQueue::<T>::get().pushed();
            Ended::<T>::insert(place, id);
            EndedQueue::<T>::put(queue);
        }
        Rounds::<T>::insert(id, round);
    }

    fn begin(id: RoundId, round: RoundOf<T>, phase: Phase, window: BlockNumber, agents: u32) {
        let since = Self::now();
        let deadline = since.saturating_add(window);
        Self::reschedule(Due {
            at: deadline,
            round: id,
            since: Some(since),
            agents,
        });
        Rounds::<T>::insert(
            id,
            RoundOf::<T> {
                phase,
                since,
                deadline,
                ..round
            },
        );
        Self::deposit_event(Event::PhaseBegan {
            round: id,
            phase,
            deadline,
        });
    }

    /// Minimum weighted mean of a winner, 32 fractional bits.
    fn approval_threshold() -> u64 {
        fixed::share(T::ApprovalThreshold::get())
    }
}
