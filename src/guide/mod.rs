//! The guide: which socket to take, and what to expect of it. All code in it is compiled and run by the tests.
//!
//! | Page | Answers |
//! |---|---|
//! | [`which_socket`] | Which socket do I want? With a picture of each pattern. |
//! | [`back_pressure`] | What happens if one side is faster than the other? |
//! | [`slow_joiner`] | Why did the first messages not arrive? |
//! | [`reconnect_and_linger`] | What happens when a peer goes, and when I close? |
//! | [`request_reliability`] | What if no reply comes? |
//! | [`security`] | Who may talk to my socket, and who may listen in? |
//! | [`threads_and_async`] | From where may I use a socket? How do I stop a wait? |
//! | [`talking_to_libzmq`] | What do I have to know if the peer is not written with this library? |
//! | [`differences`] | I know libzmq. What is different here? |
//! | [`migration`] | I have a program that uses the `zmq` or the `zeromq` crate. How do I write it here? |
//! | [`patterns`] | How do I write the patterns of the ZeroMQ Guide? |
//!
//! The pages are Markdown files in `src/guide`, where they can be read too.

pub mod which_socket;

// Each page ends with links that lead somewhere in the repository. Those of `links.md` come before and are taken first, so
// that here the same names lead to the documentation.

#[doc = include_str!("links.md")]
#[doc = include_str!("back_pressure.md")]
pub mod back_pressure {}

#[doc = include_str!("links.md")]
#[doc = include_str!("slow_joiner.md")]
pub mod slow_joiner {}

#[doc = include_str!("links.md")]
#[doc = include_str!("reconnect_and_linger.md")]
pub mod reconnect_and_linger {}

#[doc = include_str!("links.md")]
#[doc = include_str!("request_reliability.md")]
pub mod request_reliability {}

#[doc = include_str!("links.md")]
#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("links.md")]
#[doc = include_str!("threads_and_async.md")]
pub mod threads_and_async {}

#[doc = include_str!("links.md")]
#[doc = include_str!("talking_to_libzmq.md")]
pub mod talking_to_libzmq {}

#[doc = include_str!("links.md")]
#[doc = include_str!("differences.md")]
pub mod differences {}

#[doc = include_str!("links.md")]
#[doc = include_str!("migration.md")]
pub mod migration {}

#[doc = include_str!("links.md")]
#[doc = include_str!("patterns.md")]
pub mod patterns {}
