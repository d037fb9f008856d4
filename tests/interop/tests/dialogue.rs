//! Dialogues between the two libraries: every pair of socket types that talk to each other, each library on either side,
//! either side bound, over tcp, over ipc, and in the words of ZMTP 3.0.

use std::thread;

use aqueduct_interop::{Checksum, Frames, Kind, Library, Link, Peer, Wired, body, bounded, frames};

/// Who talks to whom.
#[derive(Clone, Copy, Debug)]
struct Pairing {
    /// Speaks first.
    client: Kind,
    /// Gives back what it hears.
    server: Kind,
    /// What the client has to say before its words.
    prefix: Option<&'static str>,
}

/// Makes a module of tests of each pairing.
macro_rules! pairings {
    ($($name:ident: $client:ident to $server:ident, $prefix:expr, $($test:ident)*;)*) => {$(
        mod $name {
            use super::{Kind, Pairing};
            $(#[test]
            fn $test() {
                super::$test(Pairing { client: Kind::$client, server: Kind::$server, prefix: $prefix });
            })*
        }
    )*};
}

pairings! {
    req_to_rep: Req to Rep, None, words_of_every_shape_come_back many_words_come_back_in_order;
    req_to_router: Req to Router, None, words_of_every_shape_come_back many_words_come_back_in_order;
    dealer_to_rep: Dealer to Rep, Some(""), words_of_every_shape_come_back many_words_come_back_in_order;
    dealer_to_router: Dealer to Router, None, words_of_every_shape_come_back many_words_come_back_in_order
        floods_pass_both_ways;
    router_to_dealer: Router to Dealer, Some(crate::NAME), words_of_every_shape_come_back
        many_words_come_back_in_order;
    dealer_to_dealer: Dealer to Dealer, None, words_of_every_shape_come_back many_words_come_back_in_order
        floods_pass_both_ways;
    router_to_router: Router to Router, Some(crate::NAME), words_of_every_shape_come_back
        many_words_come_back_in_order floods_pass_both_ways;
    pair_to_pair: Pair to Pair, None, words_of_every_shape_come_back many_words_come_back_in_order
        floods_pass_both_ways;
}

/// The id that the server announces.
const NAME: &str = "server";

/// The id that a ROUTER gives a server that it connects to.
const CHOSEN: &str = "whatever you say";

/// Two sockets that have met.
struct Met {
    client: Peer,
    server: Peer,
    prefix: Option<&'static str>,
    /// What the server hears before the client's words.
    lead: Frames,
    _wired: Wired,
}

impl Pairing {
    /// Runs a script for each way in which the two can meet.
    fn each(self, script: impl Fn(Met) + Send + 'static) {
        bounded(move || {
            for link in Link::ALL {
                for ours in Library::ALL {
                    for client_bound in [false, true] {
                        println!("{link:?}, the client is {ours:?}, bound: {client_bound}");
                        script(self.meet(link, ours, client_bound));
                    }
                }
            }
        });
    }

    fn meet(self, link: Link, library: Library, client_bound: bool) -> Met {
        let mut client = Peer::named(library, self.client, "client");
        let server = Peer::named(library.other(), self.server, NAME);
        let addressed = self.client == Kind::Router;
        let mut prefix = self.prefix;
        let wired = match (client_bound, addressed) {
            (true, _) => link.join(&client, &server),
            (false, false) => link.join(&server, &client),
            (false, true) => {
                let wired = link.bind(&server);
                client.connect_with_id(&wired.endpoint, CHOSEN);
                prefix = Some(CHOSEN);
                wired
            }
        };
        if addressed {
            client.await_peer();
        }
        let version = if link == Link::Old { (3, 0) } else { (3, 1) };
        for peer in [&client, &server] {
            if peer.stats().is_some() {
                peer.await_peer();
                assert_eq!(peer.info().expect("a peer").version, version);
            }
        }
        Met {
            client,
            server,
            prefix,
            lead: self.lead(),
            _wired: wired,
        }
    }

    /// A ROUTER hears who speaks, and the empty frame of a REQ; to all others envelopes do not show.
    fn lead(self) -> Frames {
        match (self.client, self.server) {
            (Kind::Req, Kind::Router) => frames(&["client", ""]),
            (_, Kind::Router) => frames(&["client"]),
            _ => Frames::new(),
        }
    }
}

impl Met {
    fn with_prefix(&self, words: &[Vec<u8>]) -> Frames {
        let prefix = self.prefix.map(|prefix| prefix.as_bytes().to_vec());
        prefix.into_iter().chain(words.iter().cloned()).collect()
    }

    /// The server hears words, and gives them back.
    fn answer(&self, words: &[Vec<u8>]) {
        let heard = self.server.hear();
        assert!(
            heard == [&self.lead[..], words].concat(),
            "the server hears something else"
        );
        self.server.say(&heard);
    }

    fn check_answer(&self, said: &[Vec<u8>]) {
        assert!(self.client.hear() == said, "the client hears something else");
    }
}

/// Short and long frames, around the borders of the protocol, with empty ones before, between and behind.
fn shapes() -> Vec<Frames> {
    let large = |byte: u8| vec![byte; 1 << 20];
    vec![
        frames(&["hello"]),
        frames(&[""]),
        frames(&["", ""]),
        frames(&["", "after"]),
        frames(&["before", ""]),
        frames(&["", "", "between", "", ""]),
        vec![vec![b's'; 255], vec![b'l'; 256]],
        vec![large(1)],
        vec![large(2), Vec::new(), large(3)],
        (0..200).map(body).collect(),
        frames(&["bye"]),
    ]
}

fn words_of_every_shape_come_back(pairing: Pairing) {
    pairing.each(|met| {
        for words in shapes() {
            let said = met.with_prefix(&words);
            met.client.say(&said);
            met.answer(&words);
            met.check_answer(&said);
        }
    });
}

/// So many go out before the first answer is heard: fewer than fit in a queue.
const WINDOW: u32 = 400;

fn many_words_come_back_in_order(pairing: Pairing) {
    pairing.each(move |met| {
        // A REQ has one request under way.
        let window = if pairing.client == Kind::Req { 1 } else { WINDOW };
        for start in (0..WINDOW * 2).step_by(window as usize) {
            let words = |number: u32| vec![body(number), body(number * 3)];
            let numbers = start..start + window;
            numbers
                .clone()
                .for_each(|number| met.client.say(&met.with_prefix(&words(number))));
            numbers.clone().for_each(|number| met.answer(&words(number)));
            numbers.for_each(|number| met.check_answer(&met.with_prefix(&words(number))));
        }
    });
}

/// More than fit in all queues on the way, so that the sender has to wait for the receiver.
const FLOOD: u32 = 6_000;

/// Sends many, and receives them at the other end meanwhile.
fn flood(from: Peer, prefix: Option<Vec<u8>>, to: &Peer) -> Peer {
    let sender = thread::spawn(move || {
        for number in 0..FLOOD {
            let words: Frames = prefix.iter().cloned().chain([body(number)]).collect();
            from.say(&words);
        }
        from
    });
    let (mut expected, mut got) = (Checksum::default(), Checksum::default());
    for number in 0..FLOOD {
        expected.add(&body(number));
        got.add(to.hear().last().expect("a frame"));
    }
    assert_eq!(got, expected);
    sender.join().expect("sent")
}

fn floods_pass_both_ways(pairing: Pairing) {
    pairing.each(move |mut met| {
        // By this, a ROUTER learns whom to answer.
        met.client.say(&met.with_prefix(&frames(&["hello"])));
        let heard = met.server.hear();
        let back = (pairing.server == Kind::Router).then(|| heard[0].clone());
        let there = met.prefix.map(|prefix| prefix.as_bytes().to_vec());
        met.client = flood(met.client, there, &met.server);
        met.server = flood(met.server, back, &met.client);
    });
}
