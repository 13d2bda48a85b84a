//! Asking for a run. Tracked and destroy runs go to the repository's actor, which makes a rollout
//! with all that depends on the stack; previews and tasks go straight to the stack's.
use super::answer::{asked, from_repo, from_run, new_event, readable, tell_repo, tell_stack};
use super::stacks::head_of;
use super::{App, Error};
use crate::auth::{Seen, Who, Writer};
use crate::v1::{Asked, TaskRequest, TriggerRequest};
use windlass_core::definition::StackDef;
use windlass_core::event::{RepoEvent, StackEvent, Trigger};
use windlass_core::id::{RunId, Sha};
use windlass_core::keys;
use windlass_core::repo::RepoHead;
use windlass_core::run::{Commit, NewRun, RunType};
use windlass_core::stack::StackHead;
use windlass_ports::cas;

const COMMAND_BYTES_MAX: usize = 16 * 1024;

pub(crate) async fn trigger(
    app: &App,
    who: &Who,
    slug: &str,
    request: TriggerRequest,
) -> Result<Asked, Error> {
    let head = head_of(app, who, slug).await?;
    let by = who.writer(head.space())?;
    let actor = by.actor();
    let def = defined(&head)?.clone();
    if request.drift {
        return look(app, &by, &head, &def, &request).await;
    }
    let chosen = match &request.commit {
        None => None,
        Some(name) => Some(resolve(app, &def, name).await?),
    };
    match request.kind.unwrap_or(RunType::Tracked) {
        RunType::Task => Err(Error::Invalid("a task needs a command: use task".to_owned())),
        RunType::Proposed => {
            let because = format!("{actor} asked for a preview");
            let pinned = chosen.is_some();
            let commit = match chosen {
                Some(commit) => commit,
                None => tracked(app, &head, &def).await?,
            };
            let new = NewRun { pinned, because, ..NewRun::blank(commit) };
            straight(app, &by, &head, &def, NewRun { kind: RunType::Proposed, ..new }).await
        }
        kind @ (RunType::Tracked | RunType::Destroy) => {
            if def.administrative && kind == RunType::Destroy {
                let why = "an administrative stack can't be destroyed: remove its definitions";
                return Err(Error::Refused(why.to_owned()));
            }
            if let Some(commit) = chosen.as_ref().filter(|_| def.administrative) {
                may_define(app, who, &head, &def, &commit.sha).await?;
            }
            let trigger = Trigger {
                stack: head.stack.clone(),
                kind,
                commit: chosen,
                actor: actor.to_owned(),
                force_apply: request.force_apply,
                drift: false,
            };
            let event = new_event()?;
            let told = RepoEvent::Trigger { trigger: Box::new(trigger) };
            tell_repo(app, &by, event.clone(), &def.repository, told).await?;
            let answer = asked(&event, from_repo(app, &def.repository, &event).await?)?;
            if let Some(run) = &answer.run {
                readable(app, &RunId(run.clone())).await?;
            }
            Ok(answer)
        }
    }
}

/// Definitions say who may do what, and a repository knows commits of anybody's: of branches that
/// nobody reviewed, on GitHub of every fork. A writer may carry out what is on the branch, or was.
async fn may_define(
    app: &App,
    who: &Who,
    head: &Seen<StackHead>,
    def: &StackDef,
    sha: &Sha,
) -> Result<(), Error> {
    let Err(refused) = who.admin(head.space()) else { return Ok(()) };
    let source = &app.deps.source;
    let on_branch = match source.head(&def.repository, &def.branch).await? {
        Some(tip) => source.merge_base(&def.repository, sha, &tip).await?.as_ref() == Some(sha),
        None => false,
    };
    if on_branch {
        return Ok(());
    }
    let (commit, branch) = (sha.short(), &def.branch);
    Err(match refused {
        Error::NotAllowed(why) => {
            Error::NotAllowed(format!("the commit {commit} is not on {branch}: {why}"))
        }
        other => other,
    })
}

/// A look for drift that somebody asks for: of what was applied, like the schedule's own, but with
/// no place in the pool's budget. It reports, and reconciles, as that one does.
async fn look(
    app: &App,
    by: &Writer,
    head: &StackHead,
    def: &StackDef,
    request: &TriggerRequest,
) -> Result<Asked, Error> {
    if request.kind.is_some_and(|kind| kind != RunType::Proposed) || request.commit.is_some() {
        let why = "a look for drift is a PROPOSED run of what was last applied";
        return Err(Error::Invalid(why.to_owned()));
    }
    let Some(commit) = head.drift.applied.clone() else {
        return Err(Error::Refused(format!("nothing was ever applied in {}", head.stack)));
    };
    let because = format!("{} asked for a look for drift", by.actor());
    let new = NewRun { kind: RunType::Proposed, drift: true, because, ..NewRun::blank(commit) };
    straight(app, by, head, def, new).await
}

pub(crate) async fn task(
    app: &App,
    who: &Who,
    slug: &str,
    request: TaskRequest,
) -> Result<Asked, Error> {
    let head = head_of(app, who, slug).await?;
    let by = who.writer(head.space())?;
    let actor = by.actor();
    let command = request.command.trim();
    if command.is_empty() || command.len() > COMMAND_BYTES_MAX || command.contains('\0') {
        let why = format!("a task's command has 1 to {COMMAND_BYTES_MAX} bytes and no NUL");
        return Err(Error::Invalid(why));
    }
    let def = defined(&head)?.clone();
    if def.administrative {
        return Err(Error::Refused("an administrative stack runs no tasks".to_owned()));
    }
    let commit = tracked(app, &head, &def).await?;
    let new = NewRun {
        kind: RunType::Task,
        because: format!("{actor} asked for a task"),
        command: Some(command.to_owned()),
        ..NewRun::blank(commit)
    };
    straight(app, &by, &head, &def, new).await
}

/// A run that needs no rollout.
async fn straight(
    app: &App,
    by: &Writer,
    head: &StackHead,
    def: &StackDef,
    new: NewRun,
) -> Result<Asked, Error> {
    let event = new_event()?;
    let id = RunId::derive(app.now(), &event, &head.stack);
    let new = NewRun {
        id: id.clone(),
        repository: def.repository.clone(),
        branch: def.branch.clone(),
        triggered_by: Some(by.actor().to_owned()),
        direct: true,
        ..new
    };
    tell_stack(app, by, event.clone(), &head.stack, StackEvent::Queue { run: Box::new(new) })
        .await?;
    from_run(app, &id, &event).await?;
    Ok(Asked { event: event.0, run: Some(id.0), changed: true, note: None })
}

fn defined(head: &StackHead) -> Result<&StackDef, Error> {
    head.defined.def().ok_or_else(|| Error::Refused(format!("{} left the definitions", head.stack)))
}

/// What a person calls a commit, as a commit.
async fn resolve(app: &App, def: &StackDef, name: &str) -> Result<Commit, Error> {
    let unknown = || Error::NotFound(format!("{} has no commit {name:?}", def.repository));
    let name = name.trim();
    if name.is_empty() || name.starts_with('-') || name.len() > 250 {
        return Err(unknown());
    }
    let source = &app.deps.source;
    let sha = source.resolve(&def.repository, name).await?.ok_or_else(unknown)?;
    let info = source.commit(&def.repository, &sha).await?.ok_or_else(unknown)?;
    Ok(Commit { sha, seq: 0, author: info.author, subject: info.subject })
}

/// The stack's own commit, or its branch's head before the first push that touched it.
async fn tracked(app: &App, head: &StackHead, def: &StackDef) -> Result<Commit, Error> {
    if let Some(commit) = &head.tracked {
        return Ok(commit.clone());
    }
    let repo = cas::load::<RepoHead>(&*app.deps.docs, &keys::repo(&def.repository)).await?;
    let branch = repo.as_ref().and_then(|repo| repo.value.branches.get(&def.branch));
    let Some(branch) = branch else {
        let why = format!("{} has no branch {} yet", def.repository, def.branch);
        return Err(Error::Refused(why));
    };
    let info = app.deps.source.commit(&def.repository, &branch.head).await?.unwrap_or_default();
    Ok(Commit {
        sha: branch.head.clone(),
        seq: branch.seq,
        author: info.author,
        subject: info.subject,
    })
}
