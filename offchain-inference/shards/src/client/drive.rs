// SPDX-License-Identifier: Apache-2.0
//! Moves rows through the spans of a route.
//!
//! Each sequence has a journal at each border between spans: the rows that passed it. A span has
//! to compute the positions that its server does not have yet, and those whose results are missing
//! from the journal behind it; the rows come from the journal before it, which the span before
//! fills. New rows, rows that a new server has missed, and rows for a border that was not there
//! before are all the same to this rule, so replay is nothing special.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        mpsc::{channel, Receiver, RecvTimeoutError, Sender},
        Arc,
    },
    time::{Duration, Instant},
};

use super::{
    journal::Journal,
    link::{Answered, Link, LinkError, Place, Reply},
};
use crate::message::Part;

/// Messages to one server that are under way at the same time: one is computed while the next one
/// travels.
const WINDOW: usize = 2;

/// The state of one sequence along a route.
#[derive(Default)]
pub(crate) struct Track {
    /// Rows by border: before block 0, between spans, behind the last block.
    journals: BTreeMap<usize, Journal>,
    places: Vec<Place>,
}

impl Track {
    /// The journal at a border.
    pub fn journal(&mut self, border: usize) -> &mut Journal {
        self.journals.entry(border).or_default()
    }

    /// Positions known at a border.
    fn known(&self, border: usize) -> usize {
        self.journals.get(&border).map_or(0, Journal::len)
    }

    /// The sequence's place on the server of `link`.
    fn place(&mut self, link: &Arc<Link>) -> &mut Place {
        let found = self
            .places
            .iter()
            .position(|place| Arc::ptr_eq(&place.link, link));
        let index = found.unwrap_or_else(|| {
            self.places.push(Place::new(link.clone()));
            self.places.len() - 1
        });
        &mut self.places[index]
    }

    /// The last answer that the server of `link` gave for the sequence.
    pub fn last(&self, link: &Arc<Link>) -> Option<&Answered> {
        let mut places = self.places.iter();
        let place = places.find(|place| Arc::ptr_eq(&place.link, link));
        place.and_then(|place| place.last.as_ref())
    }

    /// A second sequence that starts with this one.
    pub fn fork(&self) -> Self {
        Self {
            journals: self.journals.clone(),
            places: self.places.iter().filter_map(Place::fork).collect(),
        }
    }

    /// Forgets all but the first `len` positions.
    pub fn truncate(&mut self, len: usize) {
        for journal in self.journals.values_mut() {
            journal.truncate(len);
        }
        for place in &mut self.places {
            place.len = place.len.min(len);
        }
    }

    /// Lets go of what belongs to other routes.
    pub fn keep(&mut self, route: &[Arc<Link>]) {
        self.places
            .retain(|place| route.iter().any(|link| Arc::ptr_eq(link, &place.link)));
        self.journals.retain(|border, _| {
            route
                .iter()
                .any(|link| link.blocks.start == *border || link.blocks.end == *border)
        });
    }
}

/// How to go about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Rows of a message.
    pub chunk_rows: usize,
    pub least_timeout: Duration,
    pub most_timeout: Duration,
}

/// A link failed.
pub(crate) struct Failure {
    pub link: Arc<Link>,
    pub error: LinkError,
    /// Whether anything had come back.
    pub progress: bool,
}

/// Consecutive rows of one track.
#[derive(Clone, Copy)]
struct Piece {
    /// Place among the tracks.
    track: usize,
    position: usize,
    rows: usize,
}

/// A message under way.
struct Flight {
    pieces: Vec<Piece>,
    deadline: Instant,
}

impl Flight {
    fn rows(&self) -> usize {
        self.pieces.iter().map(|piece| piece.rows).sum()
    }
}

/// One stage of the route at work.
struct Stage {
    link: Arc<Link>,
    /// For each sequence, the position that is sent next.
    next: Vec<usize>,
    flights: HashMap<u64, Flight>,
}

/// Computes all that is missing so that the last border of `route` has as many rows of each track
/// as its first border has. Returns how many rows were sent of positions before `from`, a position
/// for each track: what had been computed before. On a failure the tracks hold what was achieved.
pub(crate) fn drive(
    route: &[Arc<Link>],
    tracks: &mut [&mut Track],
    from: &[usize],
    pace: &Pace,
) -> Result<usize, Failure> {
    let (Some(first), Some(last)) = (route.first(), route.last()) else {
        return Ok(0);
    };
    let (entry, exit) = (first.blocks.start, last.blocks.end);
    let (reply, replies) = channel();
    let mut stages: Vec<Stage> = vec![];
    for link in route.iter().rev() {
        let next = tracks.iter_mut().map(|track| {
            let known = track.known(link.blocks.end);
            let place = track.place(link);
            place.len = place.len.min(known);
            place.len
        });
        stages.push(Stage {
            next: next.collect(),
            link: link.clone(),
            flights: HashMap::new(),
        });
    }
    stages.reverse();
    let mut run = Run {
        stages,
        tracks,
        from,
        pace,
        reply,
        replies,
        again: 0,
        progress: false,
    };
    loop {
        run.send()?;
        let done = |track: &&mut Track| track.known(exit) >= track.known(entry);
        if run.tracks.iter().all(done) {
            return Ok(run.again);
        }
        run.receive()?;
    }
}

struct Run<'a, 'b> {
    stages: Vec<Stage>,
    tracks: &'a mut [&'b mut Track],
    from: &'a [usize],
    pace: &'a Pace,
    reply: Sender<Reply>,
    replies: Receiver<Reply>,
    again: usize,
    progress: bool,
}

/// Takes the first `n` elements, or all there are.
fn split<'a, T>(rest: &mut &'a [T], n: usize) -> &'a [T] {
    let (first, others) = rest.split_at_checked(n).unwrap_or((*rest, &[]));
    *rest = others;
    first
}

impl Run<'_, '_> {
    /// Sends what can be sent.
    fn send(&mut self) -> Result<(), Failure> {
        for index in 0..self.stages.len() {
            while let Some((pieces, data)) = self.next_message(index) {
                let Some(stage) = self.stages.get_mut(index) else {
                    break;
                };
                let link = stage.link.clone();
                let parts = pieces.iter().filter_map(|piece| {
                    let track = self.tracks.get_mut(piece.track)?;
                    Some(Part {
                        branch: track.place(&link).branch(),
                        position: piece.position.try_into().ok()?,
                        rows: piece.rows.try_into().ok()?,
                    })
                });
                match link.compute(parts.collect(), &data, index, &self.reply) {
                    Ok(sequence) => {
                        let rows: usize = pieces.iter().map(|piece| piece.rows).sum();
                        let waiting: usize = stage.flights.values().map(Flight::rows).sum();
                        let Pace {
                            least_timeout,
                            most_timeout,
                            ..
                        } = *self.pace;
                        let timeout = link.timeout(waiting + rows, least_timeout, most_timeout);
                        let deadline = Instant::now() + timeout;
                        stage.flights.insert(sequence, Flight { pieces, deadline });
                    },
                    Err(error) => return Err(self.failure(link, error)),
                }
            }
        }
        Ok(())
    }

    /// Rows that a stage can be sent now, if there are any and few enough messages are under way.
    fn next_message(&mut self, index: usize) -> Option<(Vec<Piece>, Vec<f32>)> {
        let stage = self
            .stages
            .get_mut(index)
            .filter(|s| s.flights.len() < WINDOW)?;
        let link = &stage.link;
        let mut room = link.max_rows(self.pace.chunk_rows);
        let mut pieces = vec![];
        let mut data = vec![];
        for (i, (track, next)) in self.tracks.iter_mut().zip(&mut stage.next).enumerate() {
            let journal = track.journal(link.blocks.start);
            let rows = journal.len().saturating_sub(*next).min(room);
            if rows == 0 {
                continue;
            }
            journal.read(*next..*next + rows, link.width, &mut data);
            pieces.push(Piece {
                track: i,
                position: *next,
                rows,
            });
            let old = self
                .from
                .get(i)
                .map_or(0, |from| from.saturating_sub(*next));
            self.again += old.min(rows);
            *next += rows;
            room -= rows;
            if room == 0 || pieces.len() >= link.max_branches() {
                break;
            }
        }
        (!pieces.is_empty()).then_some((pieces, data))
    }

    /// Waits for an answer and takes it in.
    fn receive(&mut self) -> Result<(), Failure> {
        let soonest = self
            .stages
            .iter()
            .flat_map(|stage| {
                stage
                    .flights
                    .values()
                    .map(move |flight| (flight.deadline, stage))
            })
            .min_by_key(|(deadline, _)| *deadline)
            .map(|(deadline, stage)| (deadline, stage.link.clone()));
        let Some((deadline, link)) = soonest else {
            // Nothing is under way and nothing can be sent: the journals do not fit the route.
            let link = self.stages.first().map(|stage| stage.link.clone());
            return link.map_or(Ok(()), |link| Err(self.failure(link, LinkError::Malformed)));
        };
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.replies.recv_timeout(wait) {
            Ok(reply) => self.take(reply),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(self.failure(link, LinkError::Timeout))
            },
        }
    }

    fn take(&mut self, reply: Reply) -> Result<(), Failure> {
        let Some(stage) = self.stages.get_mut(reply.stage) else {
            return Ok(());
        };
        let Some(flight) = stage.flights.remove(&reply.sequence) else {
            return Ok(());
        };
        let link = stage.link.clone();
        let bytes = match reply.result {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.failure(link, error)),
        };
        let width = link.width;
        let Ok(data) = link.code.decode(&bytes, flight.rows(), width) else {
            return Err(self.failure(link, LinkError::Malformed));
        };
        self.progress = true;
        let (mut rest, mut rest_bytes) = (data.as_slice(), bytes.as_slice());
        for (part, piece) in (0..).zip(flight.pieces) {
            let Piece { position, rows, .. } = piece;
            let Some(track) = self.tracks.get_mut(piece.track) else {
                continue;
            };
            let own = split(&mut rest, rows * width);
            let own_bytes = split(&mut rest_bytes, link.code.bytes(rows, width));
            let place = track.place(&link);
            place.len = position + rows;
            place.last = Some(Answered {
                sequence: reply.sequence,
                part,
                position,
                rows,
                bytes: own_bytes.to_vec(),
            });
            let journal = track.journal(link.blocks.end);
            // What is known already was computed again for its cache's sake.
            let known = journal.len().saturating_sub(position) * width;
            journal.push(own.get(known..).unwrap_or_default(), width);
        }
        Ok(())
    }

    fn failure(&self, link: Arc<Link>, error: LinkError) -> Failure {
        Failure {
            link,
            error,
            progress: self.progress,
        }
    }
}
