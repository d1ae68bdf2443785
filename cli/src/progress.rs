//! The progress bar of `dump` and `load`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// A progress bar on the standard error, which is hidden if that is no terminal.
pub(crate) fn bar(entries: Option<u64>) -> ProgressBar {
    let style = match entries {
        Some(_) => "{bar:40} {human_pos} of {human_len} entries, {per_sec}, {eta} left",
        None => "{spinner} {human_pos} entries, {per_sec}",
    };
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(entries, ProgressDrawTarget::stderr());
    bar.set_style(style);
    // This also clears it after an error.
    let bar = bar.with_finish(ProgressFinish::AndClear);
    if !bar.is_hidden() {
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    bar
}
