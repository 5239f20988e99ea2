// SPDX-License-Identifier: Apache-2.0
//! Threads that stay together through one forward pass.
//!
//! A pass is a chain of short phases, thousands a second while decoding, so the threads are woken
//! once a pass and meet at barriers in between. Within a phase they take tasks from a shared
//! counter: a thread that the system holds up costs one task's time, not its whole share. The
//! result of a task does not depend on the thread that computes it.

use std::{
    panic::{catch_unwind, resume_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc, Condvar, Mutex, PoisonError,
    },
    thread::JoinHandle,
};

use crate::{Error, Result};

/// Rounds of spinning before a waiting thread offers its core to others.
const SPINS: u32 = 4_000;

/// A fixed set of threads; the one that calls [`Pool::run`] is the first of them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    threads: usize,
    /// Tasks of this phase that have been taken.
    taken: AtomicUsize,
    /// Threads that have come to this phase's barrier.
    arrived: AtomicUsize,
    /// Barriers passed.
    phase: AtomicUsize,
    /// Threads that have left this pass.
    left: AtomicUsize,
    /// Passes started.
    started: AtomicUsize,
    /// A thread panicked: all others leave at the next barrier.
    failed: AtomicBool,
    job: Mutex<Job>,
    wake: Condvar,
}

#[derive(Default)]
struct Job {
    /// Counts the passes.
    number: usize,
    body: Option<Body>,
    stop: bool,
}

/// A pass's closure, borrowed by the workers for as long as [`Pool::run`] lasts.
#[derive(Clone, Copy)]
struct Body(*const (dyn Fn(&Crew<'_>) + Sync));

// SAFETY: the closure is `Sync`, and `Pool::run` returns only when no worker uses it any more.
unsafe impl Send for Body {}

/// One thread's view of a pass.
pub(crate) struct Crew<'a> {
    shared: &'a Shared,
    /// This thread, below [`Pool::threads`].
    pub index: usize,
}

impl Pool {
    pub fn new(threads: usize) -> Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            threads,
            taken: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
            phase: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            started: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            job: Mutex::default(),
            wake: Condvar::new(),
        });
        let mut pool = Self {
            shared,
            workers: Vec::new(),
        };
        for index in 1..threads {
            let shared = pool.shared.clone();
            let worker = std::thread::Builder::new()
                .name(format!("engine-{index}"))
                .spawn(move || work(&shared, index))
                .map_err(|e| Error::Resources(format!("cannot start a thread: {e}")))?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    pub fn threads(&self) -> usize {
        self.shared.threads
    }

    /// Runs `body` once on every thread. All threads must come to the same barriers.
    ///
    /// A panic on one of them is an error here, and the pool refuses further work.
    pub fn run(&mut self, body: impl Fn(&Crew<'_>) + Sync) -> Result<()> {
        if self.shared.failed.load(Ordering::Relaxed) {
            return Err(Error::Poisoned);
        }
        let body: *const (dyn Fn(&Crew<'_>) + Sync + '_) = &body;
        // SAFETY: only the lifetime changes; see `Body`.
        let body = Body(unsafe {
            std::mem::transmute::<
                *const (dyn Fn(&Crew<'_>) + Sync + '_),
                *const (dyn Fn(&Crew<'_>) + Sync + 'static),
            >(body)
        });
        {
            let mut job = self
                .shared
                .job
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            job.number += 1;
            job.body = Some(body);
            self.shared.started.store(job.number, Ordering::Release);
        }
        self.shared.wake.notify_all();
        self.shared.enter(body, 0);
        let shared = &self.shared;
        wait(|| shared.left.load(Ordering::Acquire) == shared.threads);
        shared.left.store(0, Ordering::Relaxed);
        if self.shared.failed.load(Ordering::Relaxed) {
            return Err(Error::Poisoned);
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared
            .job
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stop = true;
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker's panic has been reported by `run`.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, index: usize) {
    let mut done = 0;
    loop {
        // The next token is often only a sampling step away.
        for _ in 0..SPINS {
            if shared.started.load(Ordering::Acquire) != done {
                break;
            }
            std::hint::spin_loop();
        }
        let body = {
            let mut job = shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            while job.number == done && !job.stop {
                job = shared
                    .wake
                    .wait(job)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if job.stop {
                return;
            }
            done = job.number;
            job.body
        };
        if let Some(body) = body {
            shared.enter(body, index);
        }
    }
}

/// Spins for a while, then yields, until `done`.
fn wait(done: impl Fn() -> bool) {
    let mut spins = 0;
    while !done() {
        if spins < SPINS {
            spins += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

impl Shared {
    fn enter(&self, body: Body, index: usize) {
        // SAFETY: `run` keeps the closure alive until every thread has left.
        let body = unsafe { &*body.0 };
        let crew = Crew {
            shared: self,
            index,
        };
        if catch_unwind(AssertUnwindSafe(|| body(&crew))).is_err() {
            self.failed.store(true, Ordering::Release);
        }
        self.left.fetch_add(1, Ordering::AcqRel);
    }
}

impl Crew<'_> {
    /// Calls `task` for every number below `count`, once, on some thread, and waits until all are
    /// done.
    pub fn tasks(&self, count: usize, task: impl Fn(usize)) {
        loop {
            let number = self.shared.taken.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            task(number);
        }
        self.barrier();
    }

    fn barrier(&self) {
        let shared = self.shared;
        let phase = shared.phase.load(Ordering::Relaxed);
        if shared.arrived.fetch_add(1, Ordering::AcqRel) + 1 == shared.threads {
            shared.arrived.store(0, Ordering::Relaxed);
            shared.taken.store(0, Ordering::Relaxed);
            shared.phase.store(phase.wrapping_add(1), Ordering::Release);
            return;
        }
        let passed = || shared.phase.load(Ordering::Acquire) != phase;
        wait(|| passed() || shared.failed.load(Ordering::Acquire));
        if !passed() {
            // Some thread will never come; unwind without a second message.
            resume_unwind(Box::new("another thread of the pass panicked"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_and_phases_do_not_overlap() {
        for threads in [1, 2, 5] {
            let mut pool = Pool::new(threads).unwrap();
            for _ in 0..50 {
                let counts: Vec<_> = (0..97).map(|_| AtomicUsize::new(0)).collect();
                pool.run(|crew| {
                    for phase in 0..4 {
                        crew.tasks(counts.len(), |i| {
                            // The neighbour's earlier phase is over.
                            let neighbour = counts[(i + 1) % counts.len()].load(Ordering::Relaxed);
                            assert!(neighbour >= phase);
                            counts[i].fetch_add(1, Ordering::Relaxed);
                        });
                    }
                })
                .unwrap();
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 4));
            }
        }
    }

    #[test]
    fn a_panic_on_one_thread_is_an_error_for_the_caller() {
        let mut pool = Pool::new(3).unwrap();
        let outcome = pool.run(|crew| {
            crew.tasks(10, |i| assert!(i != 7, "task seven is broken"));
            crew.tasks(10, |_| {});
        });
        assert!(matches!(outcome, Err(Error::Poisoned)));
        assert!(matches!(pool.run(|_| {}), Err(Error::Poisoned)));
    }
}
