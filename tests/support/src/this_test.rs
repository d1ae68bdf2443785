//! The path of a test, by which a test program runs it alone.

/// The path of the test that this is written in, as the test harness knows it.
#[macro_export]
macro_rules! this_test {
    () => {{
        fn here() {}
        $crate::path_of_test(std::any::type_name_of_val(&here))
    }};
}

/// The path of a test in which a function `here` has this name.
pub fn path_of_test(here: &'static str) -> &'static str {
    let path = here.strip_suffix("::here").expect("a function `here`");
    let path = path.split("::{{closure}}").next().unwrap_or(path);
    let (_, path) = path.split_once("::").expect("the test is in a program");
    path
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_path_is_the_one_that_the_harness_uses() {
        let by_the_harness = std::thread::current();
        assert_eq!(by_the_harness.name(), Some(this_test!()));
        let in_a_closure = || this_test!();
        assert_eq!(in_a_closure(), this_test!());
    }
}
