//! Making offers: fresh ones (RFC 3264 §5) and those that change a session (§8),
//! where each stream keeps its m-line, a stream that ended leaves a disabled one
//! behind, and a new stream takes a disabled one before it takes a new one.

use super::{Assignment, Capabilities, StreamCapability};
use crate::description::SessionDescription;
use crate::media::{MediaDescription, Protocol};
use crate::offer_answer::{OfferAnswer, PayloadTypes};

impl Capabilities {
    /// A first offer.
    pub fn offer(&self) -> SessionDescription {
        self.offer_in(&OfferAnswer::new())
    }

    /// The offer that this session needs to become what we wish.
    pub fn offer_in(&self, session: &OfferAnswer) -> SessionDescription {
        let assignment = self.assign_for_offer(session);
        let before = session.agreement().map_or(&[][..], |a| &a.local.media);
        let numbers = session.payload_types();

        let mut offer = self.blank();
        for (index, before) in before.iter().enumerate() {
            let stream = assignment.by_media.get(index).copied().flatten();
            let stream = stream.and_then(|stream| self.streams.get(stream));
            offer.media.push(match stream {
                Some(stream) => {
                    let living = session.continuing(index, &stream.media);
                    // What the peer once accepted is not put at risk by offering
                    // another profile of the same transport.
                    let protocol = Some(&before.protocol)
                        .filter(|protocol| living.is_some() && stream.accepts(protocol))
                        .unwrap_or(&stream.protocol);
                    stream.offer(living, protocol, numbers)
                }
                None => before.disabled(),
            });
        }
        let fresh = assignment.left_over();
        let fresh = fresh.filter_map(|stream| self.streams.get(stream));
        offer.media.extend(fresh.map(|stream| stream.offer(None, &stream.protocol, numbers)));
        offer
    }

    /// First those m-lines that live on, then the disabled ones for what is new.
    fn assign_for_offer(&self, session: &OfferAnswer) -> Assignment {
        let Some(agreement) = session.agreement() else {
            return Assignment::new(0, self.streams.len());
        };
        let before = &agreement.local.media;
        let mut assignment = Assignment::new(before.len(), self.streams.len());
        let enabled = |index: &usize| agreement.is_enabled(*index);
        let (living, disabled): (Vec<usize>, Vec<usize>) = (0..before.len()).partition(enabled);
        for &index in &living {
            let same_port = |s: &StreamCapability| s.media == before[index].media && s.port == before[index].port;
            assignment.assign(index, &self.streams, same_port);
        }
        for &index in &living {
            let same_media = |s: &StreamCapability| s.media == before[index].media;
            assignment.assign(index, &self.streams, same_media);
        }
        for &index in &disabled {
            let same_media = |s: &StreamCapability| s.media == before[index].media;
            assignment.assign(index, &self.streams, same_media);
        }
        for &index in &disabled {
            assignment.assign(index, &self.streams, |_| true);
        }
        assignment
    }
}

impl StreamCapability {
    /// Our m-line in an offer; `index` where the stream has lived before.
    fn offer(&self, index: Option<usize>, protocol: &Protocol, numbers: &PayloadTypes) -> MediaDescription {
        let codecs = numbers.number_offer(index, &self.codecs);
        let mut media = self.describe(protocol.clone(), &codecs);
        if protocol.is_rtp() {
            self.security.write_offer(&mut media);
        }
        if self.protocol.is_rtp() {
            media.attributes.set_direction(self.desired_direction());
        }
        media
    }
}
