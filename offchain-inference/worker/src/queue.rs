// SPDX-License-Identifier: Apache-2.0

//! A bounded queue of jobs with its own threads. The earliest deadline comes first; among equals,
//! the highest pay for a token. Jobs of lanes go before all of them, and replays for disputes after.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rustix::{process::setpriority_process, thread::gettid};
use starling_primitives::{round::BlockNumber, Balance};

use crate::{
    agent::Signals,
    jobs::{Job, JobId},
    LOG_TARGET,
};

/// Longest wait of a queue for its threads when it ends. A thread that still waits for a remote
/// backend is left behind.
const FAREWELL: Duration = Duration::from_secs(2);

/// Most jobs of lanes that wait.
const MOST_FIRST: usize = 64;

/// Most replays for disputes that wait.
const MOST_LAST: usize = 16;

/// A job that goes before those of rounds or after them, in the order in which it came. It must not
/// panic.
pub type First = Box<dyn FnOnce() + Send>;

/// The work of the threads of a queue.
pub trait Run: Send + Sync + 'static {
    /// Does a job; `waited` is its time in the queue.
    fn run(&self, job: &Job, signals: &Signals, waited: Duration);

    /// Runs on a thread that has no job. Returns true if there is more to do, as long as there is no
    /// job.
    fn idle(&self) -> bool;
}

/// Size and priority of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of threads, and so of jobs that run at a time.
    pub workers: usize,
    /// Most jobs that wait.
    pub capacity: usize,
    /// Increase of the threads' niceness.
    pub niceness: u8,
}

/// A queue. Its threads end with it.
pub struct Queue {
    size: Size,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

/// The place of a job in the queue.
type Place = (BlockNumber, Reverse<Balance>, JobId);

#[derive(Default)]
struct State {
    first: VecDeque<First>,
    last: VecDeque<First>,
    waiting: BTreeMap<Place, Waiting>,
    running: BTreeMap<JobId, Signals>,
    stopped: bool,
}

struct Waiting {
    job: Job,
    since: Instant,
}

impl Queue {
    /// Starts the threads.
    pub fn start(size: Size, run: Arc<dyn Run>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
        });
        let mut queue = Self {
            size,
            shared,
            threads: vec![],
        };
        for index in 0..size.workers {
            let (shared, run) = (queue.shared.clone(), run.clone());
            let thread = thread::Builder::new()
                .name(format!("agent-{index}"))
                .spawn(move || {
                    lower_priority(size.niceness);
                    work(&shared, &*run);
                })?;
            queue.threads.push(thread);
        }
        Ok(queue)
    }

    /// Size and priority.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Adds a job. A full queue rejects the job with the latest deadline, among equals that with
    /// the lowest pay for a token, and returns it.
    pub fn push(&self, job: Job) -> Option<JobId> {
        let mut state = self.shared.state.lock();
        let key = (job.deadline, Reverse(job.pay()), job.id.clone());
        let since = Instant::now();
        state.waiting.insert(key, Waiting { job, since });
        self.shared.wake.notify_one();
        if state.waiting.len() <= self.size.capacity {
            return None;
        }
        state.waiting.pop_last().map(|((.., id), _)| id)
    }

    /// Adds a job that goes before those of rounds. Returns false if there are too many.
    pub fn push_first(&self, job: First) -> bool {
        let mut state = self.shared.state.lock();
        if state.stopped || state.first.len() >= MOST_FIRST {
            return false;
        }
        state.first.push_back(job);
        self.shared.wake.notify_one();
        true
    }

    /// Adds a job that waits until there are none of lanes and of rounds. Returns false if there are
    /// too many.
    pub fn push_last(&self, job: First) -> bool {
        let mut state = self.shared.state.lock();
        if state.stopped || state.last.len() >= MOST_LAST {
            return false;
        }
        state.last.push_back(job);
        self.shared.wake.notify_one();
        true
    }

    /// Ends a running job with the result that it has so far.
    pub fn hurry(&self, id: &JobId) {
        if let Some(signals) = self.shared.state.lock().running.get(id) {
            signals.hurry();
        }
    }

    /// Removes a waiting job, or stops a running one. Returns true if it was waiting: its end is
    /// then never reported.
    pub fn cancel(&self, id: &JobId) -> bool {
        let mut state = self.shared.state.lock();
        if let Some(signals) = state.running.get(id) {
            signals.cancel();
        }
        let before = state.waiting.len();
        state.waiting.retain(|(.., waiting), _| waiting != id);
        state.waiting.len() < before
    }

    /// The numbers of waiting and of running jobs.
    pub fn len(&self) -> (usize, usize) {
        let state = self.shared.state.lock();
        (state.waiting.len(), state.running.len())
    }

    /// Wakes a thread that has no job.
    pub fn nudge(&self) {
        self.shared.wake.notify_one();
    }
}

impl Queue {
    /// Forgets what waits, cancels what runs, and takes nothing more.
    pub fn stop(&self) {
        {
            let mut state = self.shared.state.lock();
            state.stopped = true;
            state.first.clear();
            state.last.clear();
            state.waiting.clear();
            state.running.values().for_each(Signals::cancel);
        }
        self.shared.wake.notify_all();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.stop();
        let end = Instant::now() + FAREWELL;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < end {
                thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                // A panic in a job was handled in its thread.
                let _ = thread.join();
            }
        }
    }
}

/// Lowers the priority of this thread and of the threads it will start.
pub(crate) fn lower_priority(niceness: u8) {
    if let Err(error) = setpriority_process(Some(gettid()), niceness.into()) {
        log::warn!(target: LOG_TARGET, "cannot lower the priority of the worker: {error}");
    }
}

fn work(shared: &Shared, run: &dyn Run) {
    loop {
        let next = {
            let mut state = shared.state.lock();
            if state.stopped {
                return;
            }
            if let Some(job) = state.first.pop_front() {
                drop(state);
                job();
                continue;
            }
            match state.waiting.pop_first() {
                Some((_, waiting)) => {
                    let signals = Signals::default();
                    state
                        .running
                        .insert(waiting.job.id.clone(), signals.clone());
                    Some((waiting, signals))
                },
                None => {
                    if let Some(job) = state.last.pop_front() {
                        drop(state);
                        job();
                        continue;
                    }
                    None
                },
            }
        };
        let Some((Waiting { job, since }, signals)) = next else {
            let goes_on = run.idle();
            let mut state = shared.state.lock();
            let has_work = !state.waiting.is_empty() || !state.last.is_empty();
            if !goes_on && state.first.is_empty() && !has_work && !state.stopped {
                shared.wake.wait(&mut state);
            }
            continue;
        };
        run.run(&job, &signals, since.elapsed());
        shared.state.lock().running.remove(&job.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jobs::Kind, vault::RoundKey};
    use sp_core::H256;
    use starling_primitives::{api::Task, choice::Form, sealing::Format};
    use std::sync::mpsc;

    fn job(round: u64, deadline: BlockNumber) -> Job {
        Job {
            id: JobId {
                key: RoundKey {
                    agent: [1; 32].into(),
                    round,
                },
                kind: Kind::Respond,
                subject: H256::zero(),
            },
            since: 0,
            deadline,
            form: Form::Free,
            task: Task::Pass,
        }
    }

    /// Reports each job that runs, and holds it until it is released or cancelled.
    struct Gate {
        started: mpsc::Sender<(u64, i32)>,
        release: Mutex<mpsc::Receiver<()>>,
    }

    impl Run for Gate {
        fn run(&self, job: &Job, signals: &Signals, _: Duration) {
            let niceness = rustix::process::getpriority_process(Some(gettid())).unwrap();
            self.started.send((job.id.key.round, niceness)).unwrap();
            while !signals.is_set() {
                if self
                    .release
                    .lock()
                    .recv_timeout(Duration::from_millis(1))
                    .is_ok()
                {
                    return;
                }
            }
        }

        fn idle(&self) -> bool {
            false
        }
    }

    fn gated(capacity: usize) -> (Queue, mpsc::Receiver<(u64, i32)>, mpsc::Sender<()>) {
        let (started, starts) = mpsc::channel();
        let (releases, release) = mpsc::channel();
        let size = Size {
            workers: 1,
            capacity,
            niceness: 7,
        };
        let gate = Gate {
            started,
            release: Mutex::new(release),
        };
        (
            Queue::start(size, Arc::new(gate)).unwrap(),
            starts,
            releases,
        )
    }

    #[test]
    fn the_earliest_deadline_comes_first_and_the_latest_is_turned_away() {
        let (queue, starts, releases) = gated(2);
        assert_eq!(queue.push(job(0, 9)), None);
        assert_eq!(starts.recv().unwrap().0, 0);
        assert_eq!(queue.push(job(1, 30)), None);
        assert_eq!(queue.push(job(2, 20)), None);
        assert_eq!(queue.push(job(3, 10)), Some(job(1, 30).id));
        assert_eq!(queue.push(job(4, 40)), Some(job(4, 40).id));
        assert_eq!(queue.len(), (2, 1));
        for expected in [3, 2] {
            releases.send(()).unwrap();
            let (round, niceness) = starts.recv().unwrap();
            assert_eq!((round, niceness), (expected, 7));
        }
    }

    #[test]
    fn among_equal_deadlines_the_best_paid_token_comes_first() {
        let paying = |round, fee, max_tokens| Job {
            task: Task::Respond {
                prompt: vec![],
                max_tokens,
                fee,
                slash: 0,
                max_bytes: 64,
                format: Format::Padded,
            },
            ..job(round, 20)
        };
        let (queue, starts, releases) = gated(2);
        queue.push(job(0, 9));
        assert_eq!(starts.recv().unwrap().0, 0);
        assert_eq!(queue.push(paying(1, 90, 30)), None);
        assert_eq!(queue.push(paying(2, 80, 10)), None);
        // A high fee for many tokens is a low one.
        assert_eq!(queue.push(paying(3, 100, 1_000)), Some(job(3, 20).id));
        for expected in [2, 1] {
            releases.send(()).unwrap();
            assert_eq!(starts.recv().unwrap().0, expected);
        }
    }

    #[test]
    fn a_cancelled_job_leaves_whether_it_runs_or_waits() {
        let (queue, starts, _releases) = gated(2);
        queue.push(job(0, 1));
        starts.recv().unwrap();
        queue.push(job(1, 2));
        queue.push(job(2, 3));
        assert!(queue.cancel(&job(1, 2).id));
        assert!(!queue.cancel(&job(0, 1).id));
        assert_eq!(starts.recv().unwrap().0, 2);
        queue.hurry(&job(2, 3).id);
    }

    #[test]
    fn a_job_of_a_lane_goes_before_those_of_rounds() {
        let (queue, starts, releases) = gated(2);
        assert_eq!(queue.push(job(0, 1)), None);
        assert_eq!(starts.recv().unwrap().0, 0);
        queue.push(job(1, 2));
        let (sender, first) = mpsc::channel();
        let (shared, waits) = (queue.shared.clone(), sender.clone());
        assert!(queue.push_first(Box::new(move || {
            let waiting = shared.state.lock().waiting.len();
            waits.send(waiting).unwrap();
        })));
        releases.send(()).unwrap();
        assert_eq!(first.recv().unwrap(), 1, "the round's job still waits");
        assert_eq!(starts.recv().unwrap().0, 1);
        let full = (0..=MOST_FIRST).find(|_| !queue.push_first(Box::new(|| {})));
        assert_eq!(full, Some(MOST_FIRST));
    }

    #[test]
    fn a_replay_waits_for_all_other_jobs() {
        let (queue, starts, releases) = gated(2);
        assert_eq!(queue.push(job(0, 1)), None);
        assert_eq!(starts.recv().unwrap().0, 0);
        let (sender, last) = mpsc::channel();
        let shared = queue.shared.clone();
        assert!(queue.push_last(Box::new(move || {
            let waiting = shared.state.lock().waiting.len();
            sender.send(waiting).unwrap();
        })));
        queue.push(job(1, 2));
        releases.send(()).unwrap();
        assert_eq!(starts.recv().unwrap().0, 1, "the round's job goes first");
        assert!(last.try_recv().is_err());
        releases.send(()).unwrap();
        assert_eq!(last.recv().unwrap(), 0);
    }

    #[test]
    fn dropping_a_queue_stops_its_jobs() {
        let (queue, starts, _releases) = gated(1);
        queue.push(job(0, 1));
        queue.push(job(1, 2));
        starts.recv().unwrap();
        drop(queue);
        // The threads hold the sending end; they are gone, and the second job never ran.
        assert!(starts.recv().is_err());
    }
}
