// SPDX-License-Identifier: Apache-2.0

//! Pure rules: jobs to start, hurry, cancel and give up, and results to submit.

use std::collections::BTreeMap;

use sp_core::H256;
use starling_primitives::{
    api::{JobBoard, Task, VaultEntry},
    choice::Form,
    round::BlockNumber,
    Balance,
};
use starling_sketch::trace;

use crate::{
    vault::{Record, RoundKey},
    AccountId,
};

/// Failures in a row after which a job is given up.
const MAX_ATTEMPTS: u32 = 4;

/// The purpose of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A response.
    Respond,
    /// Scores.
    Rank,
}

impl Kind {
    /// For logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Respond => "respond",
            Self::Rank => "rank",
        }
    }
}

/// The identity of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// Agent and round.
    pub key: RoundKey,
    /// Its purpose.
    pub kind: Kind,
    /// The hash of the request, or the seed of the assignment. Both change in a reorg.
    pub subject: H256,
}

/// A job that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its identity.
    pub id: JobId,
    /// The block at the end of which the phase began.
    pub since: BlockNumber,
    /// The last block in which the message is certainly in time.
    pub deadline: BlockNumber,
    /// The form of the round's answers. The board does not say it: the worker asks before it starts
    /// the job.
    pub form: Form,
    /// Its content.
    pub task: Task<AccountId>,
}

impl Job {
    /// The fee for each token that is asked for. Scores are owed, so they come before responses.
    pub fn pay(&self) -> Balance {
        match &self.task {
            Task::Respond {
                fee, max_tokens, ..
            } => fee
                .checked_div((*max_tokens).into())
                .unwrap_or(Balance::MAX),
            _ => Balance::MAX,
        }
    }
}

impl State {
    /// The number of times that the job was started.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Active { attempts, .. } | Self::Failed { attempts, .. } => *attempts,
        }
    }
}

/// The state of a job that is not in the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits or runs.
    Active {
        /// The number of starts, this one included.
        attempts: u32,
        /// True if it was told to hurry.
        hurried: bool,
    },
    /// It failed and may be tried again.
    Failed {
        /// The number of failures in a row.
        attempts: u32,
        /// The block of the last failure.
        at: BlockNumber,
    },
}

/// An action on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put it into the queue.
    Start,
    /// End it with its result so far.
    Hurry,
    /// Pass, or score without the model.
    GiveUp,
    /// Cancel it: nobody needs its result.
    Cancel,
}

/// Tells requests apart that get the same round number on two forks.
pub fn request_hash(prompt: &[u8], max_tokens: u32) -> H256 {
    H256(trace::request_hash(prompt, max_tokens))
}

/// The jobs of all boards that were written after block `now`; an older board belongs to an agent
/// that is gone.
pub fn due(boards: &[JobBoard<AccountId>], now: BlockNumber) -> Vec<Job> {
    let current = boards.iter().filter(|board| board.block == now);
    current
        .flat_map(|board| {
            board.jobs.iter().filter_map(|owed| {
                let (kind, subject) = match &owed.task {
                    Task::Respond {
                        prompt, max_tokens, ..
                    } => (Kind::Respond, request_hash(prompt, *max_tokens)),
                    Task::Rank { seed, .. } => (Kind::Rank, *seed),
                    Task::Pass | Task::Reveal | Task::Disclose { .. } => return None,
                };
                let id = JobId {
                    key: RoundKey {
                        agent: board.agent.clone(),
                        round: owed.round,
                    },
                    kind,
                    subject,
                };
                Some(Job {
                    id,
                    since: owed.since,
                    deadline: owed.deadline,
                    form: Form::default(),
                    task: owed.task.clone(),
                })
            })
        })
        .collect()
}

/// The actions after block `now`. `stored` is true for a job whose result is in the vault.
pub fn plan(
    due: &[Job],
    now: BlockNumber,
    stored: impl Fn(&JobId) -> bool,
    states: &BTreeMap<JobId, State>,
) -> Vec<(JobId, Action)> {
    let void = states
        .keys()
        .filter(|id| !due.iter().any(|job| job.id == **id))
        .map(|id| (id.clone(), Action::Cancel));
    let actions = due
        .iter()
        .filter(|job| !stored(&job.id))
        .filter_map(|job| Some((job.id.clone(), action(job, now, states.get(&job.id))?)));
    void.chain(actions).collect()
}

fn action(job: &Job, now: BlockNumber, state: Option<&State>) -> Option<Action> {
    let window = job.deadline.saturating_sub(job.since);
    let passed = |part: BlockNumber| now >= job.deadline.saturating_sub(window / part);
    if passed(8) {
        return Some(Action::GiveUp);
    }
    match *state.unwrap_or(&State::Failed { attempts: 0, at: 0 }) {
        State::Active { hurried, .. } => (passed(4) && !hurried).then_some(Action::Hurry),
        State::Failed { attempts, .. } if attempts >= MAX_ATTEMPTS => Some(Action::GiveUp),
        State::Failed { attempts: 0, .. } => Some(Action::Start),
        State::Failed { attempts, at } => {
            // 1, 2, 4, … blocks later.
            let pause = 1u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
            (now >= at.saturating_add(pause)).then_some(Action::Start)
        },
    }
}

/// The results that may be due, for the runtime to choose from.
///
/// While a round commits, only the response to the request on the board counts: on another fork the
/// same round may have another request. Later the chain itself knows which entries it can use.
pub fn entries(
    records: &BTreeMap<RoundKey, Record>,
    boards: &[JobBoard<AccountId>],
    now: BlockNumber,
) -> Vec<VaultEntry<AccountId>> {
    let mut open = BTreeMap::new();
    for board in boards.iter().filter(|board| board.block == now) {
        for owed in &board.jobs {
            let key = RoundKey {
                agent: board.agent.clone(),
                round: owed.round,
            };
            open.insert(key, &owed.task);
        }
    }
    let passes = open.iter().filter(|(_, task)| matches!(task, Task::Pass));
    let passes = passes.map(|(key, _)| pass(key));
    let stored = records
        .iter()
        .flat_map(|(key, record)| match open.get(key) {
            Some(Task::Pass) => vec![],
            Some(Task::Respond {
                prompt, max_tokens, ..
            }) => {
                let request = request_hash(prompt, *max_tokens);
                let response = record.response(request).into_iter();
                response
                    .map(|response| match &response.answer {
                        Some(answer) => VaultEntry {
                            response: Some(answer.sealed.clone()),
                            ..pass(key)
                        },
                        None => pass(key),
                    })
                    .collect()
            },
            _ => later(key, record),
        });
    passes.chain(stored).collect()
}

fn pass(key: &RoundKey) -> VaultEntry<AccountId> {
    VaultEntry {
        round: key.round,
        agent: key.agent.clone(),
        response: None,
        scores: None,
    }
}

/// Every response with every set of scores; nearly always there is one of each at most.
fn later(key: &RoundKey, record: &Record) -> Vec<VaultEntry<AccountId>> {
    let answers = record
        .responses
        .iter()
        .filter_map(|response| response.answer.as_ref());
    answers
        .flat_map(|answer| {
            let with = |scores| VaultEntry {
                response: Some(answer.sealed.clone()),
                scores,
                ..pass(key)
            };
            if record.scores.is_empty() {
                vec![with(None)]
            } else {
                record
                    .scores
                    .iter()
                    .cloned()
                    .map(|scores| with(Some(scores)))
                    .collect()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{Response, SealedAnswer};
    use starling_primitives::{
        api::{Owed, SealedResponse, SealedScores},
        sealing::Format,
        RoundId,
    };

    fn agent() -> AccountId {
        [1; 32].into()
    }

    fn key(round: RoundId) -> RoundKey {
        RoundKey {
            agent: agent(),
            round,
        }
    }

    fn respond(prompt: &str) -> Task<AccountId> {
        Task::Respond {
            prompt: prompt.into(),
            max_tokens: 8,
            fee: 5,
            slash: 1,
            max_bytes: 64,
            format: Format::Padded,
        }
    }

    fn board(block: BlockNumber, tasks: &[(RoundId, Task<AccountId>)]) -> JobBoard<AccountId> {
        let jobs = tasks.iter().map(|(round, task)| Owed {
            round: *round,
            deadline: 140,
            since: 100,
            task: task.clone(),
        });
        JobBoard {
            block,
            agent: agent(),
            jobs: jobs.collect(),
        }
    }

    fn decide(now: BlockNumber, state: Option<State>) -> Option<Action> {
        let due = due(&[board(now, &[(1, respond("?"))])], now);
        let states = state.map(|state| (due[0].id.clone(), state));
        let plan = plan(&due, now, |_| false, &states.into_iter().collect());
        assert!(plan.len() <= 1);
        plan.first().map(|(_, action)| *action)
    }

    #[test]
    fn a_job_starts_once_hurries_late_and_is_given_up_in_time() {
        let active = |hurried| {
            Some(State::Active {
                attempts: 1,
                hurried,
            })
        };
        assert_eq!(decide(101, None), Some(Action::Start));
        assert_eq!(decide(101, active(false)), None);
        assert_eq!(decide(129, active(false)), None);
        assert_eq!(decide(130, active(false)), Some(Action::Hurry));
        assert_eq!(decide(131, active(true)), None);
        assert_eq!(decide(135, active(true)), Some(Action::GiveUp));
        assert_eq!(decide(135, None), Some(Action::GiveUp));
    }

    #[test]
    fn failures_are_tried_again_more_and_more_seldom() {
        let failed = |attempts| Some(State::Failed { attempts, at: 101 });
        assert_eq!(decide(101, failed(1)), None);
        assert_eq!(decide(102, failed(1)), Some(Action::Start));
        assert_eq!(decide(102, failed(2)), None);
        assert_eq!(decide(103, failed(2)), Some(Action::Start));
        assert_eq!(decide(104, failed(3)), None);
        assert_eq!(decide(105, failed(3)), Some(Action::Start));
        assert_eq!(decide(105, failed(4)), Some(Action::GiveUp));
    }

    #[test]
    fn what_is_void_is_cancelled_and_what_is_stored_is_left_alone() {
        let boards = [board(5, &[(1, respond("a")), (2, respond("b"))])];
        let jobs = due(&boards, 5);
        let gone = JobId {
            subject: H256::zero(),
            ..jobs[0].id.clone()
        };
        let active = State::Active {
            attempts: 1,
            hurried: false,
        };
        let states = [(gone.clone(), active)].into();
        let plan = plan(&jobs, 5, |id| id.key.round == 1, &states);
        assert_eq!(
            plan,
            [(gone, Action::Cancel), (jobs[1].id.clone(), Action::Start)]
        );
        // An agent that is gone leaves its last board behind.
        assert!(due(&boards, 6).is_empty());
    }

    fn answer(prompt: &str, key: u8) -> Response {
        Response {
            request: request_hash(prompt.as_bytes(), 8),
            answer: Some(SealedAnswer {
                text: prompt.into(),
                sealed: SealedResponse {
                    key: [key; 32],
                    sealed: vec![key],
                },
            }),
        }
    }

    #[test]
    fn only_the_response_to_what_is_asked_is_committed() {
        let record = Record {
            changed: 1,
            responses: vec![answer("a", 1), answer("b", 2)],
            scores: vec![],
        };
        let records = [(key(1), record)].into();
        let committing = entries(&records, &[board(5, &[(1, respond("b"))])], 5);
        let keys = |entries: &[VaultEntry<AccountId>]| -> Vec<u8> {
            entries
                .iter()
                .map(|e| e.response.as_ref().unwrap().key[0])
                .collect()
        };
        assert_eq!(keys(&committing), [2]);
        // Once it is committed, the round is on no board, and the chain knows the response.
        assert_eq!(keys(&entries(&records, &[board(5, &[])], 5)), [1, 2]);
        assert!(entries(&records, &[board(5, &[(1, respond("c"))])], 5).is_empty());
    }

    #[test]
    fn passes_need_no_record_and_scores_go_with_the_response() {
        let seed = H256::repeat_byte(9);
        let scores = SealedScores {
            seed,
            scores: vec![],
            salt: [0; 32],
        };
        let record = Record {
            changed: 1,
            responses: vec![answer("a", 1)],
            scores: vec![scores.clone()],
        };
        let refused = Record {
            responses: vec![Response {
                answer: None,
                ..answer("no", 1)
            }],
            ..Record::default()
        };
        let records = [(key(1), record), (key(3), refused)].into();
        let board = board(5, &[(2, Task::Pass), (3, respond("no"))]);
        let found = entries(&records, &[board], 5);
        assert_eq!(found[0], pass(&key(2)));
        assert_eq!(found[1].scores, Some(scores));
        assert_eq!(found[2], pass(&key(3)));
        assert_eq!(found.len(), 3);
    }
}
