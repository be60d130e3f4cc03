//! How far a request has come on its way through a list of applications: what a router of such a list keeps as its state.
//!
//! ```text
//!    63      48 47             45 44                    0
//!   ├──────────┼─────────────────┼───────────────────────┤
//!    next       origin, side      the router's own
//! ```

use servlet::{RegionType, RouterState, RoutingRegion};

use super::dar::Direction;

/// See the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// The place in the list behind the one that was chosen last.
    pub(super) next: u16,
    /// Where the request has begun whose way this is. A request that goes on was sent by an application and has still
    /// begun outside.
    pub(super) origin: Direction,
    /// After REVERSE the side that the request comes from; who acts on that side is left out.
    pub(super) from: Option<RegionType>,
    /// The router's own; [`Chain::OWN_BITS`].
    pub(super) own: u64,
}

impl Chain {
    /// How many bits there are for the router's own.
    pub(super) const OWN_BITS: u32 = 45;

    /// The beginning.
    pub(super) fn begun(origin: Direction) -> Chain {
        Chain { next: 0, origin, from: None, own: 0 }
    }

    /// The end: nobody is behind it.
    pub(super) fn over(origin: Direction) -> Chain {
        Chain { next: u16::MAX, ..Chain::begun(origin) }
    }

    /// The beginning of the way back, which an application has sent the request on.
    pub(super) fn reversed(region: Option<&RoutingRegion>, own: u64) -> Chain {
        // What acts for nobody in particular is on neither side.
        let from = region.and_then(RoutingRegion::region_type).filter(|kind| *kind != RegionType::Neutral);
        Chain { from, own, ..Chain::begun(Direction::Outbound) }
    }

    /// The chain that a router has written down. `None` for what another router has written, too: that has no place in
    /// this list.
    pub(super) fn of(state: Option<&RouterState>) -> Option<Chain> {
        let Some(RouterState::Number(number)) = state else { return None };
        let flags = number >> Chain::OWN_BITS & 7;
        Some(Chain {
            next: (number >> (Chain::OWN_BITS + 3)) as u16,
            origin: if flags & 4 == 0 { Direction::Inbound } else { Direction::Outbound },
            from: match flags & 3 {
                1 => Some(RegionType::Originating),
                2 => Some(RegionType::Terminating),
                _ => None,
            },
            own: number & ((1 << Chain::OWN_BITS) - 1),
        })
    }

    pub(super) fn state(self) -> RouterState {
        let origin = match self.origin {
            Direction::Inbound => 0,
            Direction::Outbound => 4,
        };
        let side = match self.from {
            Some(RegionType::Originating) => 1,
            Some(RegionType::Terminating) => 2,
            Some(RegionType::Neutral) | None => 0,
        };
        let next = u64::from(self.next) << (Chain::OWN_BITS + 3);
        RouterState::Number(next | (origin | side) << Chain::OWN_BITS | self.own)
    }

    /// Whether those who act in this region are left out.
    pub(super) fn leaves_out(self, region: &RoutingRegion) -> bool {
        self.from.is_some() && self.from == region.region_type()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_chain_is_read_as_it_was_written() {
        for origin in [Direction::Inbound, Direction::Outbound] {
            for from in [None, Some(RegionType::Originating), Some(RegionType::Terminating)] {
                for (next, own) in [(0, 0), (1, 1), (u16::MAX, (1 << Chain::OWN_BITS) - 1)] {
                    let chain = Chain { next, origin, from, own };
                    assert_eq!(Chain::of(Some(&chain.state())), Some(chain));
                }
            }
        }
    }

    #[test]
    fn what_another_router_has_written_is_no_chain() {
        assert_eq!(Chain::of(Some(&RouterState::Octets(Bytes::from_static(b"7")))), None);
        assert_eq!(Chain::of(None), None);
    }

    #[test]
    fn the_side_that_a_request_comes_from_is_left_out_and_the_neutral_ones_are_not() {
        let chain = Chain::reversed(Some(&RoutingRegion::ORIGINATING), 0);
        assert!(chain.leaves_out(&RoutingRegion::ORIGINATING));
        assert!(!chain.leaves_out(&RoutingRegion::TERMINATING));
        assert!(!chain.leaves_out(&RoutingRegion::NEUTRAL));
        assert_eq!(Chain::reversed(Some(&RoutingRegion::NEUTRAL), 0).from, None);
    }
}
