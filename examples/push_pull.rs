//! A pipeline of three threads, with blocking calls: one makes numbers, one squares them, one adds up.
//!
//! `cargo run --example push_pull`

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::thread;

use aqueduct::{Message, Pull, Push};

const COUNT: u64 = 1000;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    // Port 0 becomes one that is free; `bind` returns the endpoint as others reach it.
    let numbers = Push::new();
    let numbers_at = numbers.bind("tcp://127.0.0.1:0")?;
    let squares = Pull::new();
    let squares_at = squares.bind("ipc://*")?;

    let squarer = thread::spawn(move || -> Outcome {
        let (input, output) = (Pull::new(), Push::new());
        input.connect(&numbers_at)?;
        output.connect(&squares_at)?;
        for _ in 0..COUNT {
            let number: u64 = input.recv()?[0].as_str()?.parse()?;
            // A message may have several frames. It arrives whole or not at all.
            let mut message = Message::from(number.to_string());
            message.push_back((number * number).to_string());
            output.send(message)?;
        }
        Ok(())
    });
    let maker = thread::spawn(move || -> Outcome {
        for number in 0..COUNT {
            // Waits while nobody has room for more: that is all there is to back-pressure.
            numbers.send(number.to_string())?;
        }
        let report = numbers.close();
        assert_eq!(report.total.handed.messages, COUNT, "everything went out");
        assert!(report.returned.is_empty(), "nothing came back");
        Ok(())
    });

    let mut sum = 0;
    for _ in 0..COUNT {
        sum += squares.recv()?[1].as_str()?.parse::<u64>()?;
    }
    assert_eq!(sum, (0..COUNT).map(|number| number * number).sum());
    for thread in [maker, squarer] {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    println!("the squares of the numbers below {COUNT} add up to {sum}");
    Ok(())
}
