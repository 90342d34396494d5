//! `tandem hub push`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tandem_hub::{Hub, Name, Outcome, Push, Pushed, Visibility};

use super::download::{Doing, hub, shown};
use super::publication::{Publication, WEIGHTS};
use crate::args;
use crate::failure::Failure;
use crate::output::{print, typed};

pub fn run(args: &args::Push) -> Result<()> {
    let name = named(&args.name, &args.revision)?;
    let repository = name.repository();
    match &args.dry_run {
        Some(folder) => {
            let made = super::fresh(folder, |folder| {
                let publication = publish(args, repository, folder)?;
                let weights = folder.join(WEIGHTS);
                if publication.weights != weights {
                    fs::copy(&publication.weights, &weights)
                        .with_context(|| format!("writing {}", weights.display()))?;
                }
                Ok(publication)
            })?;
            let files = made.others.len() + 1;
            print(&format!(
                "{files} files for {repository} are in {}; nothing was uploaded\n",
                typed(folder)
            ))
        }
        None => {
            let folder = tempfile::tempdir().context("making a folder for temporary files")?;
            // Before the work of it: whether there is a token does not depend on the run.
            let hub = hub()?;
            hub.may_push(&name)?;
            let publication = publish(args, repository, folder.path())?;
            let pushed = upload(&hub, args, &name, &publication, folder.path())?;
            print(&words(&pushed, &name))
        }
    }
}

fn publish(args: &args::Push, repository: &str, folder: &Path) -> Result<Publication> {
    Publication::make(&args.run, repository, args.licence.as_deref(), folder)
}

fn upload(
    hub: &Hub,
    args: &args::Push,
    name: &Name,
    publication: &Publication,
    folder: &Path,
) -> Result<Pushed> {
    let others: Vec<(&str, PathBuf)> = publication
        .others
        .iter()
        .map(|other| (*other, folder.join(other)))
        .collect();
    let others = others.iter().map(|(name, path)| (*name, path.as_path()));
    let files: Vec<(&str, &Path)> = [(WEIGHTS, publication.weights.as_path())]
        .into_iter()
        .chain(others)
        .collect();
    let push = Push {
        name,
        visibility: match args.private {
            true => Visibility::Private,
            false => Visibility::Public,
        },
        message: args.message.as_deref().unwrap_or(&publication.summary),
    };
    shown(Doing::Uploading, name.repository(), |progress| {
        hub.push(push, &files, progress)
    })
}

/// The repository and the branch that were typed.
fn named(repository: &str, branch: &str) -> Result<Name> {
    let wrong = |what: String| {
        let hint =
            "write OWNER/NAME, your name or organisation at the hub first; a branch is --revision";
        Failure::usage(what, hint)
    };
    let name: Name = format!("hf:{}", repository.trim_start_matches("hf:"))
        .parse()
        .map_err(Failure::from_typing)?;
    if name.revision().is_some() || name.part().is_some() {
        return Err(wrong(format!("{repository} is more than a repository")).into());
    }
    if !name.repository().contains('/') {
        return Err(wrong(format!("{repository} names no owner")).into());
    }
    Ok(name.at(branch).map_err(Failure::from_typing)?)
}

fn words(pushed: &Pushed, name: &Name) -> String {
    let Pushed {
        commit,
        page,
        outcome,
    } = pushed;
    let repository = name.repository();
    let revision = match name.revision() {
        None | Some("main") => String::new(),
        Some(branch) => format!("@{branch}"),
    };
    let what = match outcome {
        Outcome::Committed => "pushed",
        Outcome::Unchanged => "nothing to push: the hub has the same files,",
    };
    format!(
        "{what} commit {commit}\n{page}\ntandem predict --weights hf:{repository}{revision} PICTURE\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_code;

    #[test]
    fn a_repository_needs_an_owner_and_has_its_branch_apart() {
        let name = named("owner/name", "v2").unwrap();
        assert_eq!(name.to_string(), "hf:owner/name@v2");
        assert_eq!(
            named("hf:owner/name", "main").unwrap().repository(),
            "owner/name"
        );
        for wrong in [
            "name",
            "owner/name@v1",
            "owner/name:file",
            "a/b/c",
            "own er/name",
            "",
        ] {
            let error = named(wrong, "main").unwrap_err();
            assert_eq!(exit_code(&error), Some(2), "{wrong}");
        }
        assert_eq!(
            exit_code(&named("owner/name", "../x").unwrap_err()),
            Some(2)
        );
    }
}
