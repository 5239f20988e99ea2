// SPDX-License-Identifier: Apache-2.0
//! Moves rows through the spans of a route.
//!
//! Each sequence has a journal at each border between spans: the rows that passed it. A span
//! computes the positions that its server lacks, and those whose results are missing from the
//! journal behind it. The rows come from the journal before it, which the span before fills. New
//! rows, rows that a new server has missed, and rows for a new border are the same to this rule. So
//! replay needs no special case.
//!
//! Rows that no journal holds yet may go from server to server. This node then announces them to
//! each server on their way at once, with the key that seals them for the next one, and still
//! receives every output for the journals. Each server reports a digest of its input, so rows that
//! another server changed on the way are refused. Failed pushes are repeated through this node.
//!
//! An answer enters a journal only with its server's signature under each part. What another server
//! has computed from the rows of an unsigned answer is not used either.

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
    link::{Answered, Computed, Link, LinkError, Onward, Place, Reply, Sent, Source},
};
use crate::{
    auth::Signed,
    integrity::{Claim, Digest},
    message::{Next, Part, Refusal, Signatures, Span},
    transport::Peer,
};
use sha2::{Digest as _, Sha256};

/// Maximum number of messages under way to one server: one is computed while the next one travels.
const WINDOW: usize = 2;

/// The state of one sequence along a route.
#[derive(Default)]
pub(crate) struct SequenceState {
    /// Rows by border: before layer 0, between spans, behind the last layer.
    journals: BTreeMap<usize, Journal>,
    places: Vec<Place>,
}

impl SequenceState {
    /// The journal at a border.
    pub fn journal(&mut self, border: usize) -> &mut Journal {
        self.journals.entry(border).or_default()
    }

    /// Number of positions known at a border.
    fn known(&self, border: usize) -> usize {
        self.journals.get(&border).map_or(0, Journal::len)
    }

    /// The sequence's branch on the server of `link`.
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

    /// Digests of the sequence's input rows on the server of `link`: of those before `position`,
    /// and of those before `end`. `None` if this node does not know all of them.
    fn digests(
        &mut self,
        link: &Arc<Link>,
        position: usize,
        end: usize,
    ) -> Option<(Digest, Digest)> {
        let known = self.place(link).inputs.len();
        let mut new = vec![];
        if known < end {
            let journal = self.journals.get(&link.layers.start)?;
            journal.read(known..end, link.width, &mut new);
        }
        let new = link.wire.as_decoded(&new, link.width).ok()?;
        let inputs = &mut self.place(link).inputs;
        inputs.push(&new, link.width);
        Some((inputs.digest_at(position)?, inputs.digest_at(end)?))
    }

    /// The last answer of the server of `link` for the sequence.
    pub fn last(&self, link: &Arc<Link>) -> Option<&Answered> {
        let mut places = self.places.iter();
        let place = places.find(|place| Arc::ptr_eq(&place.link, link));
        place.and_then(|place| place.last.as_ref())
    }

    /// A second sequence with the same rows so far.
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
            place.inputs.truncate(len);
        }
    }

    /// Drops journals and branches that belong to other routes.
    pub fn keep(&mut self, route: &[Arc<Link>]) {
        self.places
            .retain(|place| route.iter().any(|link| Arc::ptr_eq(link, &place.link)));
        self.journals.retain(|border, _| {
            route
                .iter()
                .any(|link| link.layers.start == *border || link.layers.end == *border)
        });
    }
}

/// Settings for driving rows along a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Rows of a message.
    pub chunk_rows: usize,
    /// Minimum round-trip time of a server for others to pass rows on to it.
    pub push_from: Duration,
    pub least_timeout: Duration,
    pub most_timeout: Duration,
}

impl Pace {
    /// Deadline for the answer to `rows` that the server has now.
    fn deadline(&self, link: &Link, rows: usize) -> Instant {
        Instant::now() + link.timeout(rows, self.least_timeout, self.most_timeout)
    }
}

/// A failed link.
pub(crate) struct Failure {
    pub link: Arc<Link>,
    pub error: LinkError,
    /// Whether any answer had arrived.
    pub progress: bool,
}

/// Consecutive rows of one track.
#[derive(Clone, Copy)]
struct Piece {
    /// Index of the track.
    track: usize,
    position: usize,
    rows: usize,
}

/// A message that is under way.
struct Flight {
    pieces: Vec<Piece>,
    /// Deadline of its answer; `None` while the server waits for its upstream.
    deadline: Option<Instant>,
    /// The message to the next stage whose rows are this one's output.
    next: Option<u64>,
    /// Origin of the rows, if another server passes them on.
    pushed: Option<Pushed>,
}

/// Rows that one server passes on to another.
struct Pushed {
    from: Peer,
    /// Time at which this node got them, and their digest.
    known: Option<(Instant, Digest)>,
}

impl Flight {
    fn rows(&self) -> usize {
        rows_of(&self.pieces)
    }
}

fn rows_of(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.rows).sum()
}

/// State of one stage of the route.
struct Stage {
    link: Arc<Link>,
    /// The next position to send, for each sequence.
    next: Vec<usize>,
    flights: HashMap<u64, Flight>,
}

/// Computes all missing rows, until the last border of `route` has as many rows of each track as
/// its first border. Returns the number of rows that were sent again: those before `from`, which
/// gives a position for each track. After a failure the tracks keep the progress made.
pub(crate) fn drive(
    route: &[Arc<Link>],
    tracks: &mut [&mut SequenceState],
    from: &[usize],
    pace: &Pace,
) -> Result<usize, Failure> {
    let (Some(first), Some(last)) = (route.first(), route.last()) else {
        return Ok(0);
    };
    let (entry, exit) = (first.layers.start, last.layers.end);
    let (reply, replies) = channel();
    let mut stages: Vec<Stage> = vec![];
    for link in route.iter().rev() {
        let next = tracks.iter_mut().map(|track| {
            let known = track.known(link.layers.end);
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
        early: vec![],
        again: 0,
        progress: false,
    };
    let outcome = run.run(entry, exit);
    if outcome.is_err() {
        run.abandon();
    }
    outcome.map(|()| run.again)
}

struct Run<'a, 'b> {
    stages: Vec<Stage>,
    tracks: &'a mut [&'b mut SequenceState],
    from: &'a [usize],
    pace: &'a Pace,
    reply: Sender<Reply>,
    replies: Receiver<Reply>,
    /// Answers to rows that this node has not received yet.
    early: Vec<Reply>,
    again: usize,
    progress: bool,
}

/// Takes the first `n` elements, or all if there are fewer.
fn split<'a, T>(rest: &mut &'a [T], n: usize) -> &'a [T] {
    let (first, others) = rest.split_at_checked(n).unwrap_or((*rest, &[]));
    *rest = others;
    first
}

impl Run<'_, '_> {
    /// Runs until the border `exit`, and all borders between, have the rows of `entry`.
    fn run(&mut self, entry: usize, exit: usize) -> Result<(), Failure> {
        loop {
            self.send()?;
            let done = |track: &&mut SequenceState| track.known(exit) >= track.known(entry);
            let idle = self.stages.iter().all(|stage| stage.flights.is_empty());
            if idle && self.tracks.iter().all(done) {
                return Ok(());
            }
            self.receive()?;
        }
    }

    /// Stops the servers' waiting for each other.
    fn abandon(&self) {
        for stage in &self.stages {
            if stage.flights.values().any(|flight| flight.pushed.is_some()) {
                stage.link.skip();
            }
        }
    }

    /// Sends all messages that can be sent.
    fn send(&mut self) -> Result<(), Failure> {
        for index in 0..self.stages.len() {
            while let Some((pieces, data)) = self.next_message(index) {
                let last = self.last_of_train(index, &pieces);
                // From the last stage on, so that each message can name the next one.
                let mut next = None;
                for stage in (index..=last).rev() {
                    let source = if stage == index {
                        Source::Client(&data)
                    } else {
                        Source::Upstream(rows_of(&pieces))
                    };
                    next = self.dispatch(stage, &pieces, source, next)?;
                }
            }
        }
        Ok(())
    }

    /// The last stage that rows of stage `first` can be passed on to.
    fn last_of_train(&self, first: usize, pieces: &[Piece]) -> usize {
        let rows = rows_of(pieces);
        let mut last = first;
        for pair in self.stages.windows(2).skip(first) {
            let [from, to] = pair else {
                break;
            };
            // In step with the stage before, and no later rows are known yet.
            let fits = pieces.iter().all(|piece| {
                let known = self
                    .tracks
                    .get(piece.track)
                    .map(|track| track.known(to.link.layers.start));
                to.next.get(piece.track) == Some(&piece.position)
                    && known.is_some_and(|known| known <= piece.position)
            });
            if !fits
                || pieces.len() > to.link.max_branches()
                || rows > to.link.max_rows(rows)
                || to.flights.len() >= WINDOW + last + 1 - first
                || !to.link.is_as_far_as(self.pace.push_from)
                || !to.link.is_near(&from.link)
                || !to.link.takes_from(&from.link)
            {
                break;
            }
            last += 1;
        }
        last
    }

    /// Sends rows to a stage, or announces them. Returns the destination for the stage before.
    fn dispatch(
        &mut self,
        index: usize,
        pieces: &[Piece],
        source: Source<'_>,
        onward: Option<Onward>,
    ) -> Result<Option<Onward>, Failure> {
        let from = index
            .checked_sub(1)
            .and_then(|before| self.stages.get(before));
        let from = from.map(|stage| stage.link.peer.clone());
        let Some(stage) = self.stages.get_mut(index) else {
            return Ok(None);
        };
        let link = stage.link.clone();
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let (Some(track), Some(next)) = (
                self.tracks.get_mut(piece.track),
                stage.next.get_mut(piece.track),
            ) else {
                continue;
            };
            *next = piece.position + piece.rows;
            let old = self
                .from
                .get(piece.track)
                .map_or(0, |from| from.saturating_sub(piece.position));
            self.again += old.min(piece.rows);
            parts.push(Part {
                branch: track.place(&link).branch(),
                position: piece.position.try_into().unwrap_or(u32::MAX),
                rows: piece.rows.try_into().unwrap_or(u32::MAX),
            });
        }
        let after = onward.as_ref().map(|onward| onward.next.sequence);
        let sent = link.compute(parts, source, onward, index, &self.reply);
        let Sent {
            sequence,
            pushed: key,
        } = match sent {
            Ok(sent) => sent,
            Err(error) => return Err(self.failure(link, error)),
        };
        let pushed = match source {
            Source::Client(_) => None,
            Source::Upstream(_) => from.map(|from| Pushed { from, known: None }),
        };
        let waiting: usize = stage.flights.values().map(Flight::rows).sum();
        let deadline = pushed
            .is_none()
            .then(|| self.pace.deadline(&link, waiting + rows_of(pieces)));
        stage.flights.insert(
            sequence,
            Flight {
                pieces: pieces.to_vec(),
                deadline,
                next: after,
                pushed,
            },
        );
        let next = Next {
            peer: link.peer.clone(),
            session: link.session(),
            sequence,
        };
        Ok(key.map(|key| Onward { next, key }))
    }

    /// The next rows to send to a stage, if there are any and few enough messages are under way.
    fn next_message(&mut self, index: usize) -> Option<(Vec<Piece>, Vec<f32>)> {
        let stage = self
            .stages
            .get(index)
            .filter(|s| s.flights.len() < WINDOW)?;
        let link = &stage.link;
        let mut room = link.max_rows(self.pace.chunk_rows);
        let mut pieces = vec![];
        let mut data = vec![];
        for (i, (track, next)) in self.tracks.iter_mut().zip(&stage.next).enumerate() {
            let journal = track.journal(link.layers.start);
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
            room -= rows;
            if room == 0 || pieces.len() >= link.max_branches() {
                break;
            }
        }
        (!pieces.is_empty()).then_some((pieces, data))
    }

    /// Waits for one answer and takes it in.
    fn receive(&mut self) -> Result<(), Failure> {
        let flights = self.stages.iter().flat_map(|stage| {
            let flights = stage.flights.values();
            flights.filter_map(move |flight| Some((flight.deadline?, stage, flight)))
        });
        let Some((deadline, stage, flight)) = flights.min_by_key(|(deadline, ..)| *deadline) else {
            // Nothing is under way and nothing can be sent: the journals do not fit the route.
            let link = self.stages.first().map(|stage| stage.link.clone());
            return link.map_or(Ok(()), |link| Err(self.failure(link, LinkError::Malformed)));
        };
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.replies.recv_timeout(wait) {
            Ok(reply) => self.take(reply),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let link = stage.link.clone();
                let Some(pushed) = &flight.pushed else {
                    return Err(self.failure(link, LinkError::Timeout));
                };
                // Either of the two may be at fault; the way through this node will show which.
                link.not_pushed(&pushed.from);
                Err(self.failure(link, LinkError::NotPushed))
            },
        }
    }

    fn take(&mut self, reply: Reply) -> Result<(), Failure> {
        let Some(stage) = self.stages.get_mut(reply.stage) else {
            return Ok(());
        };
        let Some(flight) = stage.flights.get(&reply.sequence) else {
            return Ok(());
        };
        let awaits_input = flight
            .pushed
            .as_ref()
            .is_some_and(|pushed| pushed.known.is_none());
        if awaits_input && reply.result.is_ok() {
            self.early.push(reply);
            return Ok(());
        }
        let Some(flight) = stage.flights.remove(&reply.sequence) else {
            return Ok(());
        };
        let link = stage.link.clone();
        let Computed {
            bytes,
            input,
            signatures,
            held,
        } = match reply.result {
            Ok(computed) => computed,
            Err(error) => {
                if let (LinkError::Refused(Refusal::BadPush), Some(pushed)) =
                    (&error, &flight.pushed)
                {
                    link.not_pushed(&pushed.from);
                }
                return Err(self.failure(link, error));
            },
        };
        if let Some(Pushed {
            from,
            known: Some((since, digest)),
        }) = &flight.pushed
        {
            if input != Some(*digest) {
                link.not_pushed(from);
                return Err(self.failure(link, LinkError::NotPushed));
            }
            link.measure_pushed(flight.rows(), since.elapsed(), held);
        }
        let width = link.width;
        let Ok(data) = link.wire.decode(&bytes, flight.rows(), width) else {
            return Err(self.failure(link, LinkError::Malformed));
        };
        let signed = match self.signed(&link, &flight.pieces, &bytes, &signatures) {
            Ok(signed) => signed,
            Err(error) => return Err(self.failure(link, error)),
        };
        link.earned(flight.rows());
        self.progress = true;
        let (mut rest, mut rest_bytes) = (data.as_slice(), bytes.as_slice());
        for (signed, piece) in signed.into_iter().zip(flight.pieces) {
            let Piece { position, rows, .. } = piece;
            let Some(track) = self.tracks.get_mut(piece.track) else {
                continue;
            };
            let own = split(&mut rest, rows * width);
            let own_bytes = split(&mut rest_bytes, link.wire.bytes(rows, width));
            let place = track.place(&link);
            place.len = position + rows;
            place.last = Some(Answered {
                position,
                rows,
                bytes: own_bytes.to_vec(),
                signed,
            });
            let journal = track.journal(link.layers.end);
            // Known rows were recomputed only to fill the server's cache.
            let known = journal.len().saturating_sub(position) * width;
            journal.push(own.get(known..).unwrap_or_default(), width);
        }
        match flight.next {
            Some(sequence) => self.passed_on(reply.stage + 1, sequence, &bytes),
            None => Ok(()),
        }
    }

    /// The claims of the server of `link` about all parts of an answer, if its agent has signed
    /// them.
    fn signed(
        &mut self,
        link: &Arc<Link>,
        pieces: &[Piece],
        bytes: &[u8],
        signatures: &Signatures,
    ) -> Result<Vec<Signed<Claim>>, LinkError> {
        let layers = Span::new(&link.layers).ok_or(LinkError::Malformed)?;
        let Signatures { key, time, parts } = signatures;
        if parts.len() != pieces.len() || !link.is_key(key) {
            return Err(LinkError::Malformed);
        }
        let mut rest = bytes;
        let mut all = Vec::with_capacity(pieces.len());
        for (piece, signature) in pieces.iter().zip(parts) {
            let Piece { position, rows, .. } = *piece;
            let own = split(&mut rest, link.wire.bytes(rows, link.width));
            let track = self.tracks.get_mut(piece.track);
            let digests = track.and_then(|track| track.digests(link, position, position + rows));
            let (before, after) = digests.ok_or(LinkError::Malformed)?;
            let claim = Claim {
                model: link.model,
                layers: (layers.start, layers.end),
                wire: link.wire.into(),
                positions: position.try_into().unwrap_or(u32::MAX),
                rows: rows.try_into().unwrap_or(u32::MAX),
                before,
                after,
                output: Sha256::digest(own).into(),
                time: *time,
            };
            all.push(link.signed(claim, *key, *signature)?);
        }
        Ok(all)
    }

    /// This node has received the rows of a message that a stage gets from the one before. The
    /// stage's answer is due from now on, unless it has arrived already.
    fn passed_on(&mut self, index: usize, sequence: u64, bytes: &[u8]) -> Result<(), Failure> {
        let Some(stage) = self.stages.get_mut(index) else {
            return Ok(());
        };
        let rows = stage.flights.values().map(Flight::rows).sum();
        let deadline = self.pace.deadline(&stage.link, rows);
        if let Some(flight) = stage.flights.get_mut(&sequence) {
            flight.deadline = Some(deadline);
            if let Some(pushed) = &mut flight.pushed {
                pushed.known = Some((Instant::now(), Sha256::digest(bytes).into()));
            }
        }
        let is_it = |reply: &Reply| (reply.stage, reply.sequence) == (index, sequence);
        match self.early.iter().position(is_it) {
            Some(at) => {
                let reply = self.early.swap_remove(at);
                self.take(reply)
            },
            None => Ok(()),
        }
    }

    fn failure(&self, link: Arc<Link>, error: LinkError) -> Failure {
        Failure {
            link,
            error,
            progress: self.progress,
        }
    }
}
