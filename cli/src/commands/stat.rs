//! `stat` prints a table's figures.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use crate::args;
use crate::context::Context;
use crate::failure::{Outcome, Result};
use crate::interrupt::{self, pause};
use crate::sample::{self, Rates, Sample, open_observer};

pub(crate) fn stat(mut context: Context, args: &args::Stat) -> Result {
    let table = open_observer(&context.options, &args.name)?;
    let Some(interval) = args.watch else {
        let sample = Sample::take_all(&table)?;
        context
            .out
            .either(|| sample.to_json(), || sample::text(&sample, None))?;
        return context.out.done(true);
    };
    interrupt::catch()?;
    let screen = !context.out.json && std::io::stdout().is_terminal();
    let mut before: Option<(Instant, Sample)> = None;
    let mut times = 0;
    loop {
        let now = Instant::now();
        let sample = Sample::take(&table)?;
        let rates = before
            .as_ref()
            .map(|(then, before)| Rates::between(before, &sample, now.duration_since(*then)));
        if screen {
            // Moves the cursor to the corner and clears the screen.
            write!(context.out, "\x1b[H\x1b[2J")?;
        } else if times > 0 && !context.out.json {
            context.out.line("")?;
        }
        context.out.either(
            || {
                let mut json = sample.to_json();
                if let Some(rates) = &rates {
                    json["per_second"] = rates.to_json();
                }
                json
            },
            || sample::text(&sample, rates.as_ref()),
        )?;
        context.out.flush()?;
        before = Some((now, sample));
        times += 1;
        if args.count.is_some_and(|count| times >= count) {
            return Ok(Outcome::Found);
        }
        pause(interval)?;
    }
}
