// SPDX-License-Identifier: Apache-2.0
//! Speed, measured in turns so that other work of the machine slows all engines alike.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use starling_engine::{ActivationBits, Model};

use crate::{
    engine,
    llama_cpp::{LlamaCpp, Sequence},
    Outcome,
};

/// Tokens decoded one by one in a turn, after as many tokens of prompt.
const DECODE: usize = 64;

/// Workloads: name, tokens of the prompt, and whether the time of decoding counts instead of the
/// prompt's.
const WORKLOADS: [(&str, usize, bool); 3] = [
    ("prefill 128", 128, false),
    ("prefill 512", 512, false),
    ("decode 64", DECODE, true),
];

/// Time for the threads of the last turn to go to sleep.
const PAUSE: Duration = Duration::from_millis(30);

/// Tokens per second of a turn, by the clock and by the process's CPU time.
#[derive(Clone, Copy)]
struct Rate {
    wall: f64,
    cpu: f64,
}

/// Prints a table of medians over `rounds` turns: llama.cpp's rate, then ours and its ratio to
/// llama.cpp's for each of `bits`. A ratio is the median of the ratios of successive turns.
pub fn run(path: &Path, threads: &[usize], bits: &[ActivationBits], rounds: usize) -> Outcome<()> {
    let llama_cpp = LlamaCpp::load(path)?;
    println!(
        "{}, llama.cpp {}, medians of {rounds} rounds in turns, tokens per second | per CPU-second",
        path.file_name().unwrap_or_default().to_string_lossy(),
        llama_cpp.system_info(),
    );
    let ours_head: String = bits
        .iter()
        .map(|bits| format!(" ours, {bits}-bit activations | ratio | per CPU-second | ratio |"))
        .collect();
    println!("| threads | workload | llama.cpp | per CPU-second |{ours_head}");
    println!("|---|---|---|---|{}", "---|---|---|---|".repeat(bits.len()));
    for &threads in threads {
        let models = bits
            .iter()
            .map(|&bits| engine(path, threads, bits))
            .collect::<Outcome<Vec<_>>>()?;
        let mut sequence = llama_cpp.sequence(1024, threads)?;
        for (name, prompt, decode) in WORKLOADS {
            let mut theirs = Vec::new();
            let mut ours = vec![Vec::new(); models.len()];
            for round in 0..=rounds {
                // No prompt comes twice: no engine may profit from an earlier turn.
                let tokens: Vec<u32> = (0..prompt)
                    .map(|i| ((i * 7919 + round * 104_729) % 40_000 + 100) as u32)
                    .collect();
                let their_rate = their_turn(&mut sequence, &tokens, decode)?;
                std::thread::sleep(PAUSE);
                for (model, ours) in models.iter().zip(&mut ours) {
                    let rate = our_turn(model, &tokens, decode)?;
                    std::thread::sleep(PAUSE);
                    // The first round warms all up.
                    if round > 0 {
                        ours.push(rate);
                    }
                }
                if round > 0 {
                    theirs.push(their_rate);
                }
            }
            let mut line = format!(
                "| {threads} | {name} | {:.0} | {:.0} |",
                median(theirs.iter().map(|r| r.wall)),
                median(theirs.iter().map(|r| r.cpu)),
            );
            for ours in &ours {
                let pairs = || ours.iter().zip(&theirs);
                line += &format!(
                    " {:.0} | {:.2} | {:.0} | {:.2} |",
                    median(ours.iter().map(|r| r.wall)),
                    median(pairs().map(|(o, t)| o.wall / t.wall)),
                    median(ours.iter().map(|r| r.cpu)),
                    median(pairs().map(|(o, t)| o.cpu / t.cpu)),
                );
            }
            println!("{line}");
        }
    }
    Ok(())
}

/// Loads the model, runs a prompt of 512 tokens and some after it, and prints the peak memory of
/// the process.
pub fn memory(path: &Path, threads: usize, bits: ActivationBits) -> Outcome<()> {
    let model = engine(path, threads, bits)?;
    let tokens: Vec<u32> = (0..512).map(|i| i * 31 % 20_000 + 100).collect();
    our_turn(&model, &tokens, true)?;
    let file = std::fs::metadata(path)?.len();
    let peak = peak_memory()? * 1024;
    println!(
        "{}, {bits}-bit activations: peak {:.0} MB, file {:.0} MB, {:+.0} MB",
        path.file_name().unwrap_or_default().to_string_lossy(),
        peak as f64 / 1e6,
        file as f64 / 1e6,
        (peak as f64 - file as f64) / 1e6,
    );
    Ok(())
}

/// A clock on the wall and one on the process.
struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    fn start() -> Outcome<Self> {
        Ok(Self {
            wall: Instant::now(),
            cpu: cpu_time()?,
        })
    }

    fn rate(self, tokens: usize) -> Outcome<Rate> {
        let (wall, cpu) = (self.wall.elapsed(), cpu_time()? - self.cpu);
        let per = |time: Duration| tokens as f64 / time.as_secs_f64();
        Ok(Rate {
            wall: per(wall),
            cpu: per(cpu),
        })
    }
}

/// CPU time of all threads of the process so far.
fn cpu_time() -> Outcome<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours.
    if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
}

fn our_turn(model: &Model, tokens: &[u32], decode: bool) -> Outcome<Rate> {
    let mut session = model.session();
    let watch = Stopwatch::start()?;
    let mut hidden = session.extend(tokens)?;
    let mut next = greedy(&model.logits(&hidden.last())?);
    if !decode {
        return watch.rate(tokens.len());
    }
    let watch = Stopwatch::start()?;
    for _ in 0..DECODE {
        hidden = session.extend(&[next])?;
        next = greedy(&model.logits(&hidden)?);
    }
    watch.rate(DECODE)
}

fn their_turn(sequence: &mut Sequence<'_>, tokens: &[u32], decode: bool) -> Outcome<Rate> {
    sequence.clear();
    let watch = Stopwatch::start()?;
    sequence.extend(tokens, false)?;
    let mut next = greedy(sequence.logits(-1)?);
    if !decode {
        return watch.rate(tokens.len());
    }
    let watch = Stopwatch::start()?;
    for _ in 0..DECODE {
        sequence.extend(&[next], false)?;
        next = greedy(sequence.logits(-1)?);
    }
    watch.rate(DECODE)
}

pub fn greedy(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(token, _)| token as u32)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Peak resident memory in KiB.
fn peak_memory() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number
        .ok_or("the system does not tell the peak memory")?
        .parse()?)
}
