//! Steps that change one key.

use std::time::Duration;

use rand::Rng;

use super::{Trouble, Worker, told};
use crate::torture::audit;
use crate::torture::diary::State;
use crate::torture::finding::Finding;
use crate::torture::shape::{COUNTERS, SHARED, SUMS, TrackedKey, VALUES};
use crate::torture::value;

impl Worker {
    pub(super) fn own_value(&mut self) -> Result<(), Trouble> {
        let (index, tracked, key) = self.pick(VALUES);
        let me = self.me;
        let now = self.cells[index].state;
        let there = now.origin != 0;
        let length = self.shape.length(&mut self.dice);
        let new = |step| Self::value_of(me, tracked, step, length);
        let put = |step, _| State {
            origin: step,
            measure: length as u64,
        };
        let gone = |_, _| State::default();
        match self.dice.random_range(0..100) {
            0..35 => self.take_step(index, put, |this, step| {
                let value = new(step);
                let fresh = this.run(|table| table.insert(&key, &value))?;
                told("insert", &fresh, &!there)?;
                Ok((true, ()))
            }),
            35..45 => self.take_step(
                index,
                |step, now| if there { now } else { put(step, now) },
                |this, step| {
                    let value = new(step);
                    let won = this.run(|table| table.try_insert(&key, &value))?;
                    told("try_insert", &won, &!there)?;
                    Ok((won, ()))
                },
            ),
            45..60 => self.take_step(index, put, |this, step| {
                let value = new(step);
                let old = this.run(|table| table.replace(&key, &value))?;
                this.expect(tracked, old.as_deref())?;
                Ok((true, ()))
            }),
            60..67 => self.take_step(index, gone, |this, _| {
                let removed = this.run(|table| table.remove(&key))?;
                told("remove", &removed, &there)?;
                Ok((true, ()))
            }),
            67..74 => self.take_step(index, gone, |this, _| {
                let taken = this.run(|table| table.take(&key))?;
                this.expect(tracked, taken.as_deref())?;
                Ok((true, ()))
            }),
            74..86 => {
                let remove = self.dice.random_range(0..8) == 0;
                let dawdle = self.dice.random_range(0..10) == 0;
                let after = |step, now| {
                    if remove {
                        gone(step, now)
                    } else {
                        put(step, now)
                    }
                };
                self.take_step(index, after, |this, step| {
                    let mut seen = None;
                    this.run(|table| {
                        table.update(&key, |old| {
                            seen = Some(old.map(<[u8]>::to_vec));
                            if dawdle {
                                // With the lock held.
                                std::thread::sleep(Duration::from_micros(100));
                            }
                            (!remove).then(|| new(step))
                        })
                    })?;
                    this.expect(tracked, seen.flatten().as_deref())?;
                    Ok((true, ()))
                })
            }
            _ => return self.exchange_own(tracked, length),
        }?;
        Ok(())
    }

    /// Exchanges an own value for another, or tries to by a wrong expectation.
    pub(super) fn exchange_own(
        &mut self,
        tracked: TrackedKey,
        length: usize,
    ) -> Result<(), Trouble> {
        let (index, key) = (tracked.cell, tracked.key());
        let there = self.cells[index].state.origin != 0;
        let right = self.dice.random_range(0..4) != 0;
        let after = |step, now| {
            let measure = length as u64;
            let put = State {
                origin: step,
                measure,
            };
            if right { put } else { now }
        };
        self.take_step(index, after, |this, step| {
            let new = Self::value_of(this.me, tracked, step, length);
            let old = if right {
                there.then(|| this.written(tracked))
            } else {
                Some(new.clone())
            };
            let outcome =
                this.run(|table| table.compare_exchange(&key, old.as_deref(), Some(&new)))?;
            told("compare_exchange", &outcome.is_ok(), &right)?;
            if let Err(found) = outcome {
                this.expect(tracked, found.as_deref())?;
            }
            Ok((right, ()))
        })?;
        Ok(())
    }

    /// What an own key holds now; it is there.
    pub(super) fn written(&self, tracked: TrackedKey) -> Vec<u8> {
        let state = self.cells[tracked.cell].state;
        Self::value_of(self.me, tracked, state.origin, state.measure as usize)
    }

    pub(super) fn own_counter(&mut self) -> Result<(), Trouble> {
        let (index, tracked, key) = self.pick(COUNTERS);
        let add = self.dice.random_range(-1000..=1000);
        let after = |step, now: State| State {
            origin: step,
            measure: (now.measure as i64 + add) as u64,
        };
        self.take_step(index, after, |this, _| {
            let before = this.run(|table| table.fetch_add(&key, add))?;
            let state = this.cells[index].state;
            let found = before.to_le_bytes();
            // An absent counter counts as 0.
            let found = (state.origin != 0 || before != 0).then_some(&found[..]);
            this.expect(tracked, found)?;
            Ok((true, ()))
        })?;
        Ok(())
    }

    pub(super) fn sum(&mut self) -> Result<(), Trouble> {
        let (index, tracked, key) = self.pick(SUMS);
        let length = self.dice.random_range(value::LEAST..400);
        let me = self.me;
        let next = |old: Option<&[u8]>| {
            let step = audit::sum(tracked, old)? + 1;
            Ok::<_, Finding>((step - 1, Self::value_of(me, tracked, step, length)))
        };
        let after = |step, now: State| State {
            origin: step,
            measure: now.measure + 1,
        };
        let before = self.take_step(index, after, |this, _| {
            let before = if !tracked.is_record_sum() {
                this.run(|table| table.fetch_add(&key, 1))? as u64
            } else if index % 2 == 0 {
                let mut result = Ok(0);
                this.run(|table| {
                    table.update(&key, |old| match next(old) {
                        Ok((before, new)) => {
                            result = Ok(before);
                            Some(new)
                        }
                        Err(finding) => {
                            result = Err(finding);
                            old.map(<[u8]>::to_vec)
                        }
                    })
                })?;
                result?
            } else {
                let mut old = this.run(|table| table.get(&key))?;
                loop {
                    let (before, new) = next(old.as_deref())?;
                    let outcome =
                        this.run(|table| table.compare_exchange(&key, old.as_deref(), Some(&new)))?;
                    match outcome {
                        Ok(()) => break before,
                        Err(found) => old = found,
                    }
                }
            };
            Ok((true, before))
        })?;
        let Some(before) = before else { return Ok(()) };
        let last = self.sums[index - SUMS.start].replace(before);
        let own = self.cells[index].state.measure - 1;
        if last.is_some_and(|last| before <= last) || before < own {
            let number = tracked.number();
            return Err(Finding::lost(format!(
                "sum {number} was {before} before an addition, and {last:?} before an earlier \
                 one; this writer alone has added {own}"
            ))
            .into());
        }
        Ok(())
    }

    pub(super) fn shared(&mut self) -> Result<(), Trouble> {
        let (index, tracked, key) = self.pick(SHARED);
        let me = self.me;
        let length = self.shape.length(&mut self.dice);
        let new = |step| Self::value_of(me, tracked, step, length);
        let put = |step, now: State| State {
            origin: step,
            measure: now.measure,
        };
        let gone = |_, now: State| State {
            origin: 0,
            measure: now.measure + 1,
        };
        match self.dice.random_range(0..100) {
            0..30 => self.take_step(index, put, |this, step| {
                let value = new(step);
                this.run(|table| table.insert(&key, &value))?;
                this.raise(index, me, step);
                Ok((true, ()))
            })?,
            30..45 => self.take_step(index, put, |this, step| {
                let value = new(step);
                let old = this.run(|table| table.replace(&key, &value))?;
                this.look_at_shared(tracked, old.as_deref(), true)?;
                this.raise(index, me, step);
                Ok((true, ()))
            })?,
            45..55 => self.take_step(index, put, |this, step| {
                let value = new(step);
                let won = this.run(|table| table.try_insert(&key, &value))?;
                if won {
                    this.raise(index, me, step);
                }
                Ok((won, ()))
            })?,
            55..60 => self.take_step(index, gone, |this, step| {
                this.run(|table| table.remove(&key))?;
                this.raise(index, me, step);
                Ok((true, ()))
            })?,
            60..65 => self.take_step(index, gone, |this, step| {
                let taken = this.run(|table| table.take(&key))?;
                this.look_at_shared(tracked, taken.as_deref(), true)?;
                this.raise(index, me, step);
                Ok((true, ()))
            })?,
            65..80 => self.take_step(index, put, |this, step| {
                let old = this.run(|table| table.get(&key))?;
                this.look_at_shared(tracked, old.as_deref(), false)?;
                let value = new(step);
                let outcome =
                    this.run(|table| table.compare_exchange(&key, old.as_deref(), Some(&value)))?;
                match &outcome {
                    Ok(()) => {
                        this.look_at_shared(tracked, old.as_deref(), true)?;
                        this.raise(index, me, step);
                    }
                    Err(found) => this.look_at_shared(tracked, found.as_deref(), false)?,
                }
                Ok((outcome.is_ok(), ()))
            })?,
            _ => {
                self.reads += 1;
                let found = self.run(|table| table.get(&key))?;
                self.look_at_shared(tracked, found.as_deref(), false)?;
                None
            }
        };
        Ok(())
    }
}
