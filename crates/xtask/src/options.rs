//! Command-line flags of the tasks.

/// What was asked for: flags that were present, and the steps named by `--only`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    flags: Vec<String>,
    pub only: Vec<String>,
}

impl Options {
    /// Refuses what is neither in `known` nor `--only STEP` with a line for the user.
    pub fn parse(args: &[String], known: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--only" && known.contains(&"--only") {
                let name = args.next().ok_or("--only wants the name of a step")?;
                options.only.push(name.clone());
            } else if known.contains(&arg.as_str()) {
                options.flags.push(arg.clone());
            } else {
                return Err(format!("`{arg}` is not an option here; known: {}", known.join(" ")));
            }
        }
        Ok(options)
    }

    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(args: &[&str]) -> Result<Options, String> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        Options::parse(&args, &["--quick", "--only"])
    }

    #[test]
    fn flags_and_steps_are_kept_apart() {
        let expected = Options { flags: vec!["--quick".into()], only: vec!["fmt".into(), "doc".into()] };
        assert_eq!(parse(&["--only", "fmt", "--quick", "--only", "doc"]), Ok(expected));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(parse(&["--fast"]).is_err());
        assert!(parse(&["--only"]).is_err());
    }
}
