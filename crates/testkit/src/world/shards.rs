//! Nodes of several shards, as the driver runs them: messages that name a partition go to it, others are spread by where
//! they come from, and shards hand over and tell each other things without the network between.

use std::any::Any;
use std::net::IpAddr;
use std::rc::Rc;

use sip_endpoint::{HandOver, Settings, TransactionUser, partition_of};
use sip_message::{Flow, Message, Refusal};

use super::{Happening, NodeId, World};

impl World {
    /// Another shard of a node: an endpoint and a user of its own at the node's address. Its users have to be of one
    /// type. Which shard a message comes to is a matter of its sender's address, as with sockets that share a port: of
    /// two shards each has every second node's, in the order in which the nodes were made.
    ///
    /// Names, links and ladders know the node, which is its first shard; [`World::user`], [`World::with`] and
    /// [`World::endpoint`] know each.
    pub fn shard(&mut self, node: NodeId, user: impl TransactionUser + 'static) -> NodeId {
        let home = self.home(node);
        let id = NodeId::at(self.nodes.len());
        let of = &self.nodes[home.index()];
        let number = of.shards.len();
        let settings = Settings { partition: of.settings.partition + number as u8, ..of.settings.clone() };
        let name = format!("{}#{number}", of.name).into();
        self.add(name, settings, user, home);
        id
    }

    /// The node that a shard belongs to.
    pub(super) fn home(&self, shard: NodeId) -> NodeId {
        self.nodes[shard.index()].home
    }

    /// The shard that a message which came to a node is for.
    pub(super) fn shard_for(&self, node: NodeId, flow: &Flow, received: &Result<Message, Refusal>) -> NodeId {
        if self.nodes[node.index()].shards.len() == 1 {
            return node;
        }
        let named = received.as_ref().ok().and_then(partition_of);
        let named = named.and_then(|partition| self.shard_of_partition(node, partition));
        named.unwrap_or_else(|| self.shard_of_flow(node, flow))
    }

    fn shard_of_partition(&self, home: NodeId, partition: u8) -> Option<NodeId> {
        let mut shards = self.nodes[home.index()].shards.iter().copied();
        shards.find(|shard| self.endpoint(*shard).partition() == partition)
    }

    /// The shard that has a sender's datagrams and connections.
    pub(super) fn shard_of_flow(&self, node: NodeId, flow: &Flow) -> NodeId {
        let shards = &self.nodes[node.index()].shards;
        let number = match flow.remote.ip() {
            IpAddr::V4(ip) => ip.to_bits() as usize,
            IpAddr::V6(ip) => ip.to_bits() as usize,
        };
        shards.get(number % shards.len().max(1)).copied().unwrap_or(node)
    }

    pub(super) fn tell_siblings(&mut self, shard: NodeId, said: Vec<Rc<dyn Any>>) {
        for message in said {
            for sibling in self.nodes[self.home(shard).index()].shards.clone() {
                if sibling != shard {
                    self.schedule(self.now, Happening::Told { node: sibling, message: message.clone() });
                }
            }
        }
    }

    pub(super) fn carry_hand_overs(&mut self, shard: NodeId) {
        while let Some(HandOver { partition, flow, request }) = self.nodes[shard.index()].endpoint.poll_hand_over() {
            let home = self.home(shard);
            let Some(to) = self.shard_of_partition(home, partition) else {
                let name = self.name(shard);
                self.fail(None, &format!("{name} hands a request over to partition {partition}, which nobody serves"));
            };
            let text = format!("hands {} over to {}", request.method(), self.name(to));
            self.note(Some(home), text);
            self.schedule(self.now, Happening::HandedOver { node: to, flow, request: Box::new(request) });
        }
    }
}
