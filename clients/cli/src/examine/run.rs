// SPDX-License-Identifier: Apache-2.0
//! `starling examine run`.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use rand::{seq::IndexedRandom, Rng};
use sp_core::crypto::AccountId32;
use starling_client::{
    answers::{self, random, Answers},
    chain::KnownPool,
    follow::{self, Watch},
    progress,
    transaction::{Request, Signed},
    Chain, Error, Result,
};
use starling_primitives::{api::RoundView, choice::commitment, Balance};

use super::{
    pool::{self, Ordinary, Pool},
    state::Asked,
    Examiner, Place,
};
use crate::{
    arguments::{Connection, Signer},
    ask::within,
};

/// Agents must not be able to tell the questions of the pool from the others.
const ONE_IN: u32 = 10;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Ordinary questions: an object of JSON on each line
    #[arg(long, value_name = "FILE")]
    ordinary: PathBuf,
    /// Ask a question of the pool at random, on average once in one and a half times this number
    /// of questions, and always for 1; below 10 the chain takes fewer answers than are asked
    #[arg(
        long,
        value_name = "N",
        default_value_t = ONE_IN,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    one_in: u32,
    /// Ask the questions of this part of the pool alone, as in 1/3: examiners with one pool never
    /// ask the same one
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1", value_parser = part)]
    part: (u32, u32),
    /// Mean pause between questions, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pause: u32,
    /// Stop after this number of questions [default: when the part of the pool is used up]
    #[arg(long, value_name = "N")]
    questions: Option<u32>,
    /// Fee for each answer, in STAR [default: the minimum of the chain]
    #[arg(long, value_name = "AMOUNT")]
    fee: Option<String>,
    /// Maximum length of each answer, in tokens of the agent's model
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_tokens: u32,
    /// Maximum number of answers to each question
    #[arg(long, default_value_t = 8, value_name = "N")]
    max_responses: u32,
    /// Give up on a round after this many seconds; the next run reveals its answer
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u64,
}

/// Reads a part, as in `1/3`.
fn part(text: &str) -> Result<(u32, u32), String> {
    let read = |text: &str| text.parse::<u32>().ok();
    text.split_once('/')
        .and_then(|(part, parts)| Some((read(part)?, read(parts)?)))
        .filter(|(part, parts)| (1..=*parts).contains(part))
        .ok_or_else(|| "write the part and the number of parts, as in 1/3".into())
}

/// The terms of all requests. Those of the pool have no others.
struct Terms {
    fee: Balance,
    max_tokens: u32,
    min_responses: u32,
    max_responses: u32,
}

impl Terms {
    async fn read(chain: &Chain, args: &Args) -> Result<Self> {
        let at = chain.best().await?;
        Ok(Self {
            fee: match &args.fee {
                Some(fee) => chain.currency().parse(fee)?,
                None => at.constant("Rounds", "MinFee")?,
            },
            max_tokens: args.max_tokens,
            min_responses: at.constant("Rounds", "MinResponses")?,
            max_responses: args.max_responses,
        })
    }

    fn request(&self, prompt: &str, answers: Answers) -> Request {
        Request {
            prompt: prompt.into(),
            fee: self.fee,
            max_tokens: self.max_tokens,
            min_responses: self.min_responses,
            max_responses: self.max_responses,
            answers,
        }
    }
}

pub async fn run(connection: &Connection, signer: &Signer, args: Args) -> Result<()> {
    let pool = Pool::read(&args.place.file)?;
    let ordinary = pool::ordinary(&args.ordinary)?;
    hidden(&pool, &ordinary)?;
    let key = signer.required()?;
    connection
        .run(|chain| async move {
            let terms = Terms::read(&chain, &args).await?;
            let mut examiner = Examiner::open(chain, key, pool, args.place.data.clone())?;
            examiner.may_examine().await?;
            let done = examiner.work(&args, &terms, &ordinary).await;
            examiner.summarise(connection);
            done
        })
        .await
}

/// Fails if agents can tell the questions of a pool from the ordinary ones.
fn hidden(pool: &Pool, ordinary: &[Ordinary]) -> Result<()> {
    let forms: BTreeSet<_> = ordinary.iter().map(|other| other.form).collect();
    for form in pool.questions().iter().map(|known| known.form) {
        if !forms.contains(&form) {
            return Err(Error::Usage(format!(
                "no ordinary question has the form {}, and the pool has such questions: agents \
                 could tell them by it",
                answers::name(form)
            )));
        }
    }
    let known: BTreeSet<_> = pool.questions().iter().map(|known| &known.prompt).collect();
    match ordinary.iter().any(|other| known.contains(&other.prompt)) {
        true => Err(Error::Usage(
            "a question of the pool is among the ordinary ones: ask it once, as one of the pool"
                .into(),
        )),
        false => Ok(()),
    }
}

impl Examiner {
    /// Fails if the chain would not take answers of this account and pool.
    async fn may_examine(&self) -> Result<()> {
        let at = self.chain.best().await?;
        at.require_capabilities()?;
        if self.pool.is_generated() && !self.chain.is_development() {
            return Err(Error::Usage(
                "the pool has generated questions, which agents recognise; use a curated pool on \
                 this chain"
                    .into(),
            ));
        }
        let account = self.account();
        if !at.examiners().await?.contains(&account) {
            return Err(Error::Usage(format!(
                "{} is no examiner; governance names them by `capabilities.setExaminers`",
                self.chain.name(&account)
            )));
        }
        let known = KnownPool {
            root: self.pool.root(),
            questions: self.pool.count(),
        };
        match at.known_pool().await? {
            Some(pool) if pool == known => Ok(()),
            _ => Err(Error::Usage(format!(
                "the chain has another pool; governance sets this one by `capabilities.setPool` \
                 with the root {:?} and {} questions",
                known.root, known.questions
            ))),
        }
    }

    /// Asks, and reveals what is over.
    async fn work(&mut self, args: &Args, terms: &Terms, ordinary: &[Ordinary]) -> Result<()> {
        let patience = Duration::from_secs(args.timeout);
        let mut count = 0u32;
        loop {
            self.reveal().await?;
            if args.questions.is_some_and(|most| count >= most) {
                return Ok(());
            }
            if count > 0 {
                tokio::time::sleep(pause(args.pause)).await;
            }
            let Some(index) = self.draw(args.part) else {
                eprintln!("all questions of this part of the pool were asked");
                return Ok(());
            };
            let asked = async {
                match self.turn(args.one_in)? {
                    Turn::Known => self.ask_known(terms, index).await,
                    Turn::Ordinary => self.ask_ordinary(terms, ordinary).await,
                }
            };
            let late = || String::from("the round is not over; the next run reveals its answer");
            let view = within(patience, asked, late).await?;
            count = count.saturating_add(1);
            // Both kinds look the same here, too.
            let phase = progress::name(view.round.phase).to_lowercase();
            eprintln!("round {}: {phase}", view.id);
        }
    }

    /// Draws a question that was never asked.
    fn draw(&self, (part, parts): (u32, u32)) -> Option<u32> {
        let used = self.ledger.used();
        let ours = |index: &u32| index.checked_rem(parts) == part.checked_sub(1);
        let left: Vec<u32> = (0..self.pool.count())
            .filter(|index| ours(index) && !used.contains(index))
            .collect();
        left.choose(&mut rand::rng()).copied()
    }

    /// The next turn. The number of ordinary questions until the next one of the pool is drawn
    /// and kept, so that a restart changes nothing.
    fn turn(&mut self, one_in: u32) -> Result<Turn> {
        let record = &mut self.ledger.record;
        let left = record.ordinary.unwrap_or_else(|| gap(one_in));
        let turn = match left {
            0 => Turn::Known,
            _ => Turn::Ordinary,
        };
        record.ordinary = Some(left.checked_sub(1).unwrap_or_else(|| gap(one_in)));
        self.ledger.save()?;
        Ok(turn)
    }

    async fn ask_ordinary(
        &self,
        terms: &Terms,
        ordinary: &[Ordinary],
    ) -> Result<RoundView<AccountId32>> {
        let question = ordinary
            .choose(&mut rand::rng())
            .ok_or_else(|| Error::Usage("there is no ordinary question".into()))?;
        let answers = Answers::declared(question.form)?;
        let call = terms.request(&question.prompt, answers).call();
        follow::ask(&self.chain, &call, &self.key, &mut Quiet).await
    }

    /// Asks a question of the pool. Its index and salt are on disk before anything leaves.
    async fn ask_known(&mut self, terms: &Terms, index: u32) -> Result<RoundView<AccountId32>> {
        let question = self.pool.question(index);
        let question =
            question.ok_or_else(|| Error::Usage(format!("the pool has no question {index}")))?;
        let salt = random()?;
        let hashes = question.hashes();
        let answers = Answers::Declared {
            form: question.form,
            commitment: commitment(self.chain.genesis(), &self.account(), index, &hashes, &salt),
        };
        let call = terms.request(&question.prompt, answers).call();
        let first = self.chain.finalized().await?.next_round().await?;
        self.ledger
            .record
            .asked
            .push(Asked::new(index, &salt, first));
        self.ledger.save()?;

        let ledger = &mut self.ledger;
        let mut keep = |signed: &Signed| {
            let last = signed.last;
            ledger.change(index, |asked| asked.last = Some(last))
        };
        let sent = follow::send(&self.chain, &call, &self.key, &mut keep).await;
        match sent {
            Ok(asked) => {
                let view = asked.end(&self.chain, &mut Quiet).await?;
                let round = Some(view.id);
                self.ledger.change(index, |asked| asked.round = round)?;
                Ok(view)
            },
            Err(error) => {
                // Nothing has left: the question can be asked later.
                if let Error::Refused(_) = error {
                    self.ledger
                        .record
                        .asked
                        .retain(|asked| asked.index != index);
                    self.ledger.save()?;
                }
                Err(error)
            },
        }
    }
}

/// The kind of a question.
enum Turn {
    Known,
    Ordinary,
}

/// Number of ordinary questions before the next one of the pool. Each request is one of the pool with
/// the same probability, whatever came before, so that agents cannot count: two in three times
/// `one_in`, for the chain takes no more than one in ten.
fn gap(one_in: u32) -> u32 {
    let mut random = rand::rng();
    let mut gap = 0u32;
    while random.random_range(0..one_in.saturating_mul(3)) >= 2 && one_in > 1 {
        gap = gap.saturating_add(1);
    }
    gap
}

/// A pause of this mean, at random.
fn pause(mean: u32) -> Duration {
    let share = rand::rng().random_range(0.0..2.0);
    Duration::from_secs(mean.into()).mul_f64(share)
}

/// Nobody watches.
struct Quiet;

impl Watch for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_question_of_the_pool_may_come_at_any_time() {
        assert_eq!(gap(1), 0);
        let gaps: Vec<u32> = (0..2_000).map(|_| gap(10)).collect();
        assert!(gaps.contains(&0));
        assert!(gaps.iter().any(|gap| *gap > 40));
        let mean = f64::from(gaps.iter().sum::<u32>()) / 2_000.0;
        assert!((12.0..16.0).contains(&mean), "{mean}");
    }

    #[test]
    fn parts_are_numbered_from_one() {
        assert_eq!(part("1/1"), Ok((1, 1)));
        assert_eq!(part("3/3"), Ok((3, 3)));
        for bad in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/3", "a/b"] {
            assert!(part(bad).is_err(), "{bad}");
        }
    }
}
