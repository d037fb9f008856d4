//! Handshakes under way at a listener: a line of bounded length, in which each site has its fair share.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Session;
use crate::transport::Site;

/// Something that shakes hands until it is settled.
pub(super) trait Handshake {
    /// The application has let the peer in; what is left is to say hello.
    fn is_known(&self) -> bool;

    fn is_settled(&self) -> bool;
}

impl Handshake for Arc<Session> {
    fn is_known(&self) -> bool {
        Session::is_known(self)
    }

    fn is_settled(&self) -> bool {
        Session::is_settled(self)
    }
}

/// Those that may still be shaking hands, the oldest in front.
///
/// When there are too many, the oldest of the site that has the most must go. So one host with many connections makes
/// room at its own cost, whatever its number; and if all come from one site, it is the oldest of all. A peer that the
/// application has let in outlasts the strangers of its site, unless such peers are the most of them: otherwise those that
/// then fall silent would leave no room for others.
pub(super) struct HalfOpen<T> {
    line: VecDeque<(Site, T)>,
    /// How many of the line each site has.
    shares: HashMap<Site, usize>,
}

impl<T: Handshake> HalfOpen<T> {
    pub(super) fn new() -> Self {
        Self {
            line: VecDeque::new(),
            shares: HashMap::new(),
        }
    }

    /// Takes in the newest, and takes out the one that must go for it, if there are more than `limit`.
    pub(super) fn add(&mut self, site: Site, newest: T, limit: usize) -> Option<T> {
        self.forget_settled();
        self.line.push_back((site, newest));
        *self.shares.entry(site).or_default() += 1;
        if self.line.len() <= limit {
            return None;
        }
        let shares = &mut self.shares;
        self.line.retain(|(site, handshake)| {
            let stays = !handshake.is_settled();
            if !stays {
                give_back(shares, *site);
            }
            stays
        });
        if self.line.len() <= limit {
            return None;
        }
        let victim = self.victim()?;
        self.remove(victim)
    }

    /// Finds the one that must go.
    fn victim(&self) -> Option<usize> {
        let most = self.shares.values().max();
        let (crowded, _) = self.line.iter().find(|(site, _)| self.shares.get(site) == most)?;
        let crowd = || {
            self.line
                .iter()
                .enumerate()
                .filter(|(_, (site, _))| site == crowded)
        };
        let balance: i32 = crowd()
            .map(|(_, (_, handshake))| if handshake.is_known() { 1 } else { -1 })
            .sum();
        let (at, _) = crowd().find(|(_, (_, handshake))| handshake.is_known() == (balance > 0))?;
        Some(at)
    }

    /// Lets go of those that are done, as far as they are the oldest; so the line is hardly longer than it must be.
    pub(super) fn forget_settled(&mut self) {
        while self.line.front().is_some_and(|(_, oldest)| oldest.is_settled()) {
            self.remove(0);
        }
    }

    fn remove(&mut self, at: usize) -> Option<T> {
        let (site, handshake) = self.line.remove(at)?;
        give_back(&mut self.shares, site);
        Some(handshake)
    }

    /// Takes all out that are not settled.
    pub(super) fn take(&mut self) -> Vec<T> {
        self.shares.clear();
        let all = self.line.drain(..).map(|(_, handshake)| handshake);
        all.filter(|handshake| !handshake.is_settled()).collect()
    }
}

/// One of a site's share is gone, and the site with its last.
fn give_back(shares: &mut HashMap<Site, usize>, site: Site) {
    if let Some(share) = shares.get_mut(&site) {
        *share -= 1;
        if *share == 0 {
            shares.remove(&site);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// How far a handshake is.
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    enum Stage {
        #[default]
        Begun,
        Known,
        Settled,
    }

    /// A handshake by number.
    #[derive(Clone)]
    struct Fake(u32, Rc<Cell<Stage>>);

    impl Handshake for Fake {
        fn is_known(&self) -> bool {
            self.1.get() == Stage::Known
        }

        fn is_settled(&self) -> bool {
            self.1.get() == Stage::Settled
        }
    }

    const A: Site = Site::V4(0x7f00_0001);
    const B: Site = Site::V4(0x7f00_0002);

    fn fake(number: u32) -> Fake {
        Fake(number, Rc::default())
    }

    fn add(line: &mut HalfOpen<Fake>, site: Site, number: u32, limit: usize) -> Option<u32> {
        line.add(site, fake(number), limit).map(|shed| shed.0)
    }

    #[test]
    fn of_one_site_the_oldest_goes() {
        let mut line = HalfOpen::new();
        let shed: Vec<_> = (0..5).map(|number| add(&mut line, A, number, 3)).collect();
        assert_eq!(shed, [None, None, None, Some(0), Some(1)]);
    }

    #[test]
    fn a_crowd_from_one_site_does_not_push_out_another() {
        let mut line = HalfOpen::new();
        assert_eq!(add(&mut line, B, 100, 4), None);
        let shed: Vec<_> = (0..5).map(|number| add(&mut line, A, number, 4)).collect();
        assert_eq!(shed, [None, None, None, Some(0), Some(1)]);
        let stays = "the newcomer of the smaller share stays";
        assert_eq!(add(&mut line, B, 101, 4), Some(2), "{stays}");
        assert_eq!(
            add(&mut line, B, 102, 4),
            Some(100),
            "and then has the larger one"
        );
    }

    /// A line of three from one site, of which the oldest are known, and who goes for each of three more.
    fn shed_of(known: usize) -> [Option<u32>; 3] {
        let mut line = HalfOpen::new();
        let all = [0, 1, 2].map(fake);
        all.iter().for_each(|fake| drop(line.add(A, fake.clone(), 3)));
        all[..known].iter().for_each(|fake| fake.1.set(Stage::Known));
        [3, 4, 5].map(|number| add(&mut line, A, number, 3))
    }

    #[test]
    fn who_has_been_let_in_outlasts_strangers_and_does_not_crowd_them_out() {
        assert_eq!(shed_of(0), [0, 1, 2].map(Some));
        assert_eq!(shed_of(1), [1, 2, 3].map(Some));
        assert_eq!(shed_of(2), [2, 3, 4].map(Some), "as many strangers as others");
        assert_eq!(shed_of(3), [0, 3, 4].map(Some), "a stranger comes in at all");
    }

    #[test]
    fn what_is_settled_counts_no_more() {
        let mut line = HalfOpen::new();
        let settled = fake(1);
        for handshake in [fake(0), settled.clone(), fake(2)] {
            assert!(line.add(A, handshake, 3).is_none());
        }
        settled.1.set(Stage::Settled);
        assert_eq!(add(&mut line, A, 3, 3), None);
        assert_eq!(line.shares.get(&A), Some(&3));
        assert_eq!(line.take().len(), 3);
        assert!(line.line.is_empty() && line.shares.is_empty());
    }

    #[test]
    fn what_is_settled_is_not_kept_until_somebody_comes() {
        let mut line = HalfOpen::new();
        let all = [0, 1, 2].map(fake);
        all.iter().for_each(|fake| drop(line.add(A, fake.clone(), 3)));
        all[..2].iter().for_each(|fake| fake.1.set(Stage::Settled));
        line.forget_settled();
        assert_eq!((line.line.len(), line.shares.get(&A)), (1, Some(&1)));
    }
}
