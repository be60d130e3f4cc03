//! What each dynamic payload type has meant in each stream. It must not change its
//! meaning as long as the session lasts (RFC 3264 §8.3.2), each side counting for
//! itself since the numbers may differ by direction (§5.1).

use super::Side;
use super::agreement::{Agreement, codecs_of_answer};
use super::rules::Rule;
use crate::codec::{Codec, PayloadType};
use crate::description::SessionDescription;
use crate::media::MediaDescription;
use std::collections::HashMap;

/// One entry per m-line.
#[derive(Clone, Debug, Default)]
pub(crate) struct PayloadTypes {
    streams: Vec<Stream>,
    /// What is known of a new stream: nothing.
    fresh: Stream,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    local: HashMap<PayloadType, Codec>,
    remote: HashMap<PayloadType, Codec>,
}

impl PayloadTypes {
    /// Notes what an agreement says; `previous` is the one it replaces.
    pub(super) fn record(&mut self, previous: Option<&Agreement>, agreed: &Agreement) {
        let count = agreed.local.media.len();
        self.streams.resize_with(count, Stream::default);
        for (index, (stream, (local, remote))) in
            self.streams.iter_mut().zip(agreed.local.media.iter().zip(&agreed.remote.media)).enumerate()
        {
            if local.is_disabled() || remote.is_disabled() {
                continue;
            }
            if !continues(previous, index, local) {
                *stream = Stream::default();
            }
            let (local, remote) = match agreed.offerer {
                Side::Local => (local.codecs(), codecs_of_answer(local, remote)),
                Side::Remote => (codecs_of_answer(remote, local), remote.codecs()),
            };
            stream.local.extend(local.into_iter().map(numbered));
            stream.remote.extend(remote.into_iter().map(numbered));
        }
    }

    /// Whether an offer keeps all meanings.
    pub(super) fn check(&self, from: Side, offer: &SessionDescription, agreed: Option<&Agreement>) -> Result<(), Rule> {
        for (media, offered) in offer.media.iter().enumerate() {
            if offered.is_disabled() || !continues(agreed, media, offered) {
                continue;
            }
            let Some(stream) = self.streams.get(media) else {
                continue;
            };
            let known = match from {
                Side::Local => &stream.local,
                Side::Remote => &stream.remote,
            };
            for codec in offered.codecs() {
                let payload_type = codec.payload_type;
                let before = known.get(&payload_type);
                if payload_type.is_dynamic() && before.is_some_and(|c| !c.same_mapping(&codec)) {
                    return Err(Rule::PayloadTypeRemapped { media, payload_type });
                }
            }
        }
        Ok(())
    }

    /// Gives each codec of an offer of ours a number that may stand there: the one
    /// it had, else the one the peer uses, else its own, else a free one. A codec
    /// for which there is none is left out. `media` is `None` for a new stream.
    pub(crate) fn number_offer(&self, media: Option<usize>, codecs: &[Codec]) -> Vec<Codec> {
        let stream = self.stream(media);
        stream.number(codecs, |codec| {
            let mut numbers = numbers_of(codec, &stream.local);
            numbers.extend(numbers_of(codec, &stream.remote));
            numbers.push(codec.payload_type);
            numbers
        })
    }

    /// The same for an answer, whose codecs come with the numbers of the offer and
    /// keep them where they can (RFC 3264 §6.1).
    pub(crate) fn number_answer(&self, media: Option<usize>, codecs: &[Codec]) -> Vec<Codec> {
        let stream = self.stream(media);
        stream.number(codecs, |codec| {
            let mut numbers = vec![codec.payload_type];
            numbers.extend(numbers_of(codec, &stream.local));
            numbers
        })
    }

    fn stream(&self, media: Option<usize>) -> &Stream {
        media.and_then(|media| self.streams.get(media)).unwrap_or(&self.fresh)
    }
}

impl Stream {
    fn number(&self, codecs: &[Codec], wishes: impl Fn(&Codec) -> Vec<PayloadType>) -> Vec<Codec> {
        let mut numbered: Vec<Codec> = Vec::with_capacity(codecs.len());
        for codec in codecs {
            let is_free = |number: &PayloadType| {
                let listed = numbered.iter().any(|c| c.payload_type == *number);
                let meaning = self.local.get(number);
                !listed && meaning.is_none_or(|other| other.same_mapping(codec))
            };
            let mut candidates = wishes(codec).into_iter().chain(PayloadType::dynamic());
            if let Some(number) = candidates.find(is_free) {
                numbered.push(codec.clone().with_payload_type(number));
            }
        }
        numbered
    }
}

fn numbers_of(codec: &Codec, known: &HashMap<PayloadType, Codec>) -> Vec<PayloadType> {
    let same = known.iter().filter(|(_, other)| other.is_compatible(codec));
    let mut numbers: Vec<PayloadType> = same.map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers
}

fn numbered(codec: Codec) -> (PayloadType, Codec) {
    (codec.payload_type, codec)
}

/// Whether the m-line is the stream that was there before. A slot that was disabled
/// or holds another media type now is a new stream (RFC 3264 §8.1, §8.3.3).
fn continues(previous: Option<&Agreement>, index: usize, now: &MediaDescription) -> bool {
    previous.is_some_and(|previous| {
        let before = previous.local.media.get(index);
        previous.is_enabled(index) && before.is_some_and(|before| before.media == now.media)
    })
}
