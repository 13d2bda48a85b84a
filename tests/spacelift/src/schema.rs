//! The schema, as far as fleets need it, and what its fields answer.
use crate::world::{Pool, Shared, Worker, World};
use crate::{KEY_ID, POOL, null_or};
use async_graphql::dynamic::{
    Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, Schema, TypeRef,
};
use async_graphql::{Error, Result, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One request, as its fields see it.
pub(crate) struct Asked {
    /// The bearer token, or nothing.
    pub(crate) bearer: String,
    /// A field was carried out, so the document is a good one.
    pub(crate) valid: Arc<AtomicBool>,
}

type Answer = Result<Option<FieldValue<'static>>>;

pub(crate) fn of(shared: &Arc<Shared>, legacy: bool) -> Schema {
    let query = Object::new("Query").field(resolved(
        shared,
        "workerPool",
        TypeRef::named("WorkerPool"),
        &[("id", TypeRef::ID)],
        worker_pool,
    ));
    let mutation = Object::new("Mutation")
        .field(resolved(
            shared,
            "apiKeyUser",
            TypeRef::named("User"),
            &[("id", TypeRef::ID), ("secret", TypeRef::STRING)],
            api_key_user,
        ))
        .field(resolved(
            shared,
            "workerDrainSet",
            TypeRef::named_nn("Worker"),
            &[("workerPool", TypeRef::ID), ("id", TypeRef::ID), ("drain", TypeRef::BOOLEAN)],
            worker_drain_set,
        ));
    Schema::build("Query", Some("Mutation"), None)
        .register(query)
        .register(mutation)
        .register(user())
        .register(pool())
        .register(worker(legacy))
        .finish()
        .unwrap()
}

fn resolved(
    shared: &Arc<Shared>,
    name: &'static str,
    of: TypeRef,
    arguments: &[(&'static str, &'static str)],
    answer: fn(&mut World, &ResolverContext<'_>) -> Answer,
) -> Field {
    let shared = shared.clone();
    let field = Field::new(name, of, move |ctx| {
        let shared = shared.clone();
        FieldFuture::new(async move {
            ctx.data::<Asked>()?.valid.store(true, Ordering::SeqCst);
            let mut world = shared.world();
            world.play(name);
            answer(&mut world, &ctx)
        })
    });
    arguments.iter().fold(field, |field, (name, of)| {
        field.argument(InputValue::new(*name, TypeRef::named_nn(*of)))
    })
}

fn text(ctx: &ResolverContext<'_>, name: &str) -> Result<String> {
    Ok(ctx.args.try_get(name)?.string()?.to_owned())
}

fn known(world: &World, ctx: &ResolverContext<'_>) -> Result<()> {
    match world.takes(&ctx.data::<Asked>()?.bearer) {
        true => Ok(()),
        false => Err(Error::new("unauthorized")),
    }
}

fn api_key_user(world: &mut World, ctx: &ResolverContext<'_>) -> Answer {
    if text(ctx, "id")? != KEY_ID || text(ctx, "secret")? != world.key_secret {
        return Err(Error::new("unauthorized"));
    }
    Ok(Some(FieldValue::owned_any(world.mint())))
}

fn worker_pool(world: &mut World, ctx: &ResolverContext<'_>) -> Answer {
    known(world, ctx)?;
    let found = world.pool_of(&text(ctx, "id")?);
    Ok(found.map(|pool| FieldValue::owned_any(pool.clone())))
}

fn worker_drain_set(world: &mut World, ctx: &ResolverContext<'_>) -> Answer {
    known(world, ctx)?;
    if !world.may_drain {
        return Err(Error::new("unauthorized: you can't drain workers of this pool"));
    }
    let (pool, id) = (text(ctx, "workerPool")?, text(ctx, "id")?);
    let drain = ctx.args.try_get("drain")?.boolean()?;
    let pool = world.pool_of(&pool).ok_or_else(|| Error::new("worker pool not found"))?;
    pool.set_drained(&id, drain);
    let worker = pool.worker(&id).cloned().ok_or_else(|| Error::new("worker not found"))?;
    Ok(Some(FieldValue::owned_any(worker)))
}

/// A field of a value that was handed down.
fn plain<T: Send + Sync + 'static>(name: &str, of: TypeRef, get: fn(&T) -> Value) -> Field {
    Field::new(name, of, move |ctx| {
        FieldFuture::new(async move {
            let parent = ctx.parent_value.try_downcast_ref::<T>()?;
            Ok(Some(get(parent)))
        })
    })
}

fn user() -> Object {
    let int = TypeRef::named_nn(TypeRef::INT);
    Object::new("User")
        .field(plain::<(String, i64)>("id", TypeRef::named_nn(TypeRef::ID), |_| KEY_ID.into()))
        .field(plain::<(String, i64)>("jwt", TypeRef::named_nn(TypeRef::STRING), |(jwt, _)| {
            jwt.clone().into()
        }))
        .field(plain::<(String, i64)>("validUntil", int, |(_, until)| (*until).into()))
}

fn pool() -> Object {
    let int = || TypeRef::named_nn(TypeRef::INT);
    let workers = Field::new("workers", TypeRef::named_nn_list_nn("Worker"), |ctx| {
        FieldFuture::new(async move {
            let pool = ctx.parent_value.try_downcast_ref::<Pool>()?;
            let workers = pool.workers.iter().cloned().map(FieldValue::owned_any);
            Ok(Some(FieldValue::list(workers.collect::<Vec<_>>())))
        })
    });
    Object::new("WorkerPool")
        .field(plain::<Pool>("id", TypeRef::named_nn(TypeRef::ID), |_| POOL.into()))
        .field(plain::<Pool>("name", TypeRef::named_nn(TypeRef::STRING), |_| "fleet".into()))
        .field(plain::<Pool>("pendingRuns", int(), |pool| pool.pending.into()))
        .field(plain::<Pool>("busyWorkers", int(), |pool| {
            pool.workers.iter().filter(|worker| worker.busy).count().into()
        }))
        .field(plain::<Pool>("workersCount", int(), |pool| pool.workers.len().into()))
        .field(workers)
}

fn worker(legacy: bool) -> Object {
    let bool = || TypeRef::named_nn(TypeRef::BOOLEAN);
    let int = TypeRef::named_nn(TypeRef::INT);
    let string = || TypeRef::named_nn(TypeRef::STRING);
    let worker = Object::new("Worker")
        .field(plain::<Worker>("id", TypeRef::named_nn(TypeRef::ID), |w| w.id.clone().into()))
        .field(plain::<Worker>("busy", bool(), |w| w.busy.into()))
        .field(plain::<Worker>("drained", bool(), |w| w.drained.into()))
        .field(plain::<Worker>("createdAt", int, |w| w.created_at.into()))
        .field(plain::<Worker>("metadata", string(), |w| w.metadata.clone().into()))
        .field(plain::<Worker>("status", string(), |w| {
            let status = if w.drained { "DRAINED" } else { "IDLE" };
            if w.busy { "BUSY" } else { status }.into()
        }));
    if legacy {
        return worker;
    }
    let int = TypeRef::named(TypeRef::INT);
    worker.field(plain::<Worker>("availableAt", int, |w| null_or(w.available_at, Value::from)))
}
