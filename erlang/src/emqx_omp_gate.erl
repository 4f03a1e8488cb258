%% Stands in for a client whose subscriptions catch up (docs/emqx-link.md, "Catch up, then live").
%%
%% While the replay of a subscription runs, what is stored must not be pushed to the client live as well. EMQX has no
%% way to hold it back, but a subscription of EMQX's broker belongs to a process: so this one subscribes in the client's
%% place, keeps back what is marked, and passes on the rest. A subscription in a gate is
%%
%%   held ── LIVE of the engine, with a number ──▶ live ── a second later ──▶ opening ──▶ the client's own
%%     keeps the last marked ones      passes on what is above it      keeps everything
%%
%%   away: EMQX 5, the session has no connection. What is marked must not get into its queue.
%%
%% When it has opened it stays for a while: EMQX may have looked it up for a message that it sends only now.
%%
%% What the client's process does for it is in emqx_omp_held.
-module(emqx_omp_gate).
-behaviour(gen_server).

-export([start_link/1, live/4, settling/0]).
-export([init/1, handle_call/3, handle_info/2, handle_cast/2, format_status/1]).

%% Marked messages that are kept for each subscription, and ids by which a second copy is known.
-define(KEPT, 64).
%% How long after LIVE messages may be on their way that were answered before it, and after opening those for which EMQX
%% has looked up the subscribers before, in ms (`settling` in the environment).
-define(SETTLING, 1000).
%% How long is waited until EMQX has taken the process out of the subscribers, in ms.
-define(OUT, 100).

-record(gated, {
    filter :: binary(),
    number :: pos_integer(),
    mode = held :: held | {live, non_neg_integer()} | {opening, non_neg_integer() | infinity} | away,
    %% When LIVE was handled, in the unit of erlang:monotonic_time/0.
    live_since = 0 :: integer(),
    %% Marked ones with their numbers, newest first (held), or everything (opening).
    kept = [] :: [{non_neg_integer(), term()}],
    %% The highest number that is not kept any more.
    forgotten = 0 :: non_neg_integer(),
    %% Of a session that is resumed: what comes soon after may have been answered before the engine knew of this
    %% process, and be counted as pushed to the one before. The lowest and the highest number of these.
    early_until = never :: never | integer(),
    early = none :: none | {non_neg_integer(), non_neg_integer()},
    recent = [] :: [binary()]
}).
-record(state, {
    client :: pid(),
    client_id :: binary(),
    session :: pos_integer(),
    %% What is above it the engine does not count as pushed: it knows that the client is away (an atom is above all).
    released = infinity :: non_neg_integer() | infinity,
    topics = #{} :: #{term() => #gated{}},
    %% Opened: the number of LIVE, and until when messages for it are passed on.
    opened = #{} :: #{term() => {non_neg_integer() | infinity, integer()}}
}).

%% For a client: its process, its id, its session.
-spec start_link({pid(), binary(), pos_integer()}) -> {ok, pid()}.
start_link(Client) -> gen_server:start_link(?MODULE, Client, []).

%% LIVE of the engine, for the closing of this number.
-spec live(pid(), binary(), pos_integer(), non_neg_integer()) -> ok.
live(Gate, Filter, Number, UpTo) ->
    Gate ! {live, Filter, Number, UpTo},
    ok.

init({Client, ClientId, Session}) ->
    process_flag(sensitive, true),
    _ = erlang:monitor(process, Client),
    {ok, #state{client = Client, client_id = ClientId, session = Session}}.

handle_call(Request, _, State) -> guarded(State, fun() -> call(Request, State) end).

handle_cast(Request, State) -> guarded(State, fun() -> cast(Request, State) end).

handle_info(Info, State) -> guarded(State, fun() -> info(Info, State) end).

%% Reports of a crash have the arguments of functions in them, and values that did not match: messages.
guarded(State, Work) ->
    try
        Work()
    catch
        Class:Reason:Stack ->
            emqx_omp_log:failed("a gate", Class, Reason, Stack),
            {stop, {shutdown, failed}, State}
    end.

call({close, Topic, Filter, Number, Why, Options}, #state{topics = Topics} = State) ->
    case Topics of
        #{Topic := #gated{number = Number, mode = Mode}} ->
            {reply, Mode, State};
        _ ->
            emqx_omp_emqx:subscribe(Topic, Options),
            Gated = gated(Why, #gated{filter = Filter, number = Number}),
            {reply, Gated#gated.mode, State#state{topics = Topics#{Topic => Gated}}}
    end;
call({had, Topic, Messages}, #state{topics = Topics} = State) ->
    #{Topic := #gated{recent = Recent}} = Topics,
    IsNew = fun(Message) -> not lists:member(emqx_omp_emqx:id(Message), Recent) end,
    %% A retained copy has the id of the live one.
    New = [Message || Message <- Messages, emqx_omp_emqx:is_retained(Message) orelse IsNew(Message)],
    {reply, ok, lists:foldl(fun(Message, S) -> arrived(Topic, Message, S) end, State, New)};
call({keep, Topic}, #state{topics = Topics} = State) ->
    case Topics of
        #{Topic := #gated{mode = Mode} = Gated} ->
            UpTo =
                case Mode of
                    {_, Number} -> Number;
                    %% Not caught up: what is marked is in the store.
                    _ -> infinity
                end,
            {reply, {ok, UpTo}, State#state{topics = Topics#{Topic := Gated#gated{mode = {opening, UpTo}, kept = []}}}};
        _ ->
            {reply, gone, State}
    end;
call({leave, Topic}, State) ->
    case left(Topic, State) of
        {#gated{kept = Kept, mode = {opening, UpTo}}, #state{opened = Opened} = After} ->
            Messages = [Message || {_, Message} <- lists:reverse(Kept)],
            {reply, {ok, Messages}, After#state{opened = Opened#{Topic => {UpTo, now_ms() + settling()}}}};
        none ->
            {reply, gone, State}
    end;
call({drop, Topic}, State) ->
    case left(Topic, State) of
        {Gated, After} ->
            tell_lost(gate_closed, Gated, State),
            {reply, ok, After};
        none ->
            {reply, gone, State}
    end;
call(kept, #state{topics = Topics} = State) ->
    {reply, [emqx_omp_emqx:id(Message) || #gated{kept = Kept} <- maps:values(Topics), {_, Message} <- Kept], State};
call(away, #state{topics = Topics} = State) ->
    tell_all_lost(State),
    Away = maps:map(fun(_, Gated) -> Gated#gated{mode = away, kept = [], forgotten = 0} end, Topics),
    {reply, ok, State#state{topics = Away}}.

%% Why it is closed: the client has just subscribed, its session is resumed by this process, or it goes away.
gated(subscribed, Gated) -> Gated;
gated(resumed, Gated) -> Gated#gated{early_until = now_ms() + settling()};
gated(away, Gated) -> Gated#gated{mode = away}.

%% In ms.
settling() -> application:get_env(emqx_offline_message_plugin, settling, ?SETTLING).

%% Unsubscribes; with what came until then.
left(Topic, #state{topics = Topics} = State0) when is_map_key(Topic, Topics) ->
    Options = emqx_omp_emqx:own_options(Topic),
    emqx_omp_emqx:unsubscribe(Topic),
    emqx_omp_emqx:await_out(Topic, Options, now_ms() + ?OUT),
    Late = emqx_omp_held:mailbox(Topic),
    State = lists:foldl(fun(Message, S) -> arrived(Topic, Message, S) end, State0, Late),
    {Gated, Others} = maps:take(Topic, State#state.topics),
    {Gated, State#state{topics = Others}};
left(_, _) ->
    none.

%% What is kept will not be passed on. The engine may have counted it as pushed: its LIVE may be on the way.
tell_all_lost(#state{topics = Topics} = State) ->
    lists:foreach(fun(Gated) -> tell_lost(away, Gated, State) end, maps:values(Topics)).

tell_lost(Reason, #gated{mode = held, kept = Kept, forgotten = Forgotten, filter = Filter}, State) ->
    #state{session = Session, client_id = ClientId} = State,
    [dropped(Reason, Message, State) || {_, Message} <- lists:sort(Kept)],
    Forgotten > 0 andalso emqx_omp_connection:send(ClientId, {missed, Session, Filter, 0, Forgotten}),
    ok;
tell_lost(_, _, _) ->
    ok.

cast({drop, _} = Request, State) ->
    {reply, _, After} = call(Request, State),
    {noreply, After};
cast(stop, State) ->
    %% Nothing is closed any more.
    _ = erlang:send_after(settling(), self(), over),
    {noreply, State}.

info({deliver, Topic, Message}, #state{topics = Topics} = State) when is_map_key(Topic, Topics) ->
    {noreply, arrived(Topic, Message, State)};
info({deliver, Topic, Message}, #state{opened = Opened} = State) when is_map_key(Topic, Opened) ->
    #{Topic := {UpTo, Until}} = Opened,
    now_ms() < Until andalso emqx_omp_client:ask_process(State#state.client, {late, Topic, UpTo, Message}),
    {noreply, State};
info({live, Filter, Number, UpTo}, State) ->
    {noreply, caught_up(emqx_omp_emqx:topic(Filter), Number, UpTo, State)};
info({released, Number}, State) ->
    {noreply, State#state{released = Number}};
info({'DOWN', _, process, Client, _}, #state{client = Client} = State) ->
    tell_all_lost(State),
    {stop, normal, State};
info(over, State) ->
    {stop, normal, State};
info(_, State) ->
    {noreply, State}.

%% Nothing of the state and the messages: payloads.
format_status(Status) ->
    maps:map(fun(_, _) -> hidden end, Status).

caught_up(Topic, Number, UpTo, #state{topics = Topics, client = Client} = State) ->
    #state{session = Session, client_id = ClientId} = State,
    case Topics of
        #{Topic := #gated{number = Number, mode = held, filter = Filter} = Gated} ->
            emqx_omp_sessions:set_held(Session, Filter, 0),
            #gated{kept = Kept, forgotten = Forgotten, early = Early} = Gated,
            tell_early(Early, UpTo, Filter, State),
            [pass(Topic, Message, State) || {Of, Message} <- lists:sort(Kept), Of > UpTo],
            Forgotten > UpTo andalso emqx_omp_connection:send(ClientId, {missed, Session, Filter, UpTo, Forgotten}),
            _ = erlang:send_after(settling(), Client, {timeout, make_ref(), {omp, {open, Topic, Number}}}),
            Live = Gated#gated{mode = {live, UpTo}, live_since = erlang:monotonic_time(), kept = []},
            State#state{topics = Topics#{Topic := Live}};
        _ ->
            %% Of a closing before, or of one that the client has opened itself.
            State
    end.

%% The replay leaves out what counts as pushed, and the gate drops it.
tell_early({Lowest, Highest}, UpTo, Filter, #state{session = Session, client_id = ClientId}) when Lowest =< UpTo ->
    emqx_omp_connection:send(ClientId, {missed, Session, Filter, Lowest - 1, min(Highest, UpTo)});
tell_early(_, _, _, _) ->
    ok.

arrived(Topic, Message, #state{topics = Topics} = State) ->
    #{Topic := #gated{recent = Recent} = Gated0} = Topics,
    Gated = Gated0#gated{recent = lists:sublist([emqx_omp_emqx:id(Message) | Recent], ?KEPT)},
    State#state{topics = Topics#{Topic := arrived(Gated, Topic, emqx_omp_emqx:live_mark(Message), Message, State)}}.

arrived(#gated{mode = {opening, _}, kept = Kept} = Gated, _, _, Message, _) ->
    Gated#gated{kept = [{0, Message} | Kept]};
arrived(#gated{mode = away} = Gated, _, {pending, _}, Message, State) ->
    dropped(away, Message, State),
    Gated;
arrived(#gated{mode = {live, _}, live_since = Since} = Gated, Topic, {pending, {Node, Asked}}, Message, State) when
    Node =:= node(), Asked > Since
->
    %% The engine was asked to store it when it had sent LIVE: it counts it as pushed.
    pass(Topic, Message, State),
    Gated;
arrived(Gated, _, {pending, _}, Message, State) ->
    %% It has no number, by which could be told whether the replay sends it.
    dropped(gate_closed, Message, State),
    Gated;
arrived(#gated{mode = held} = Gated, _, {Kind, Number}, Message, _) when Kind =:= stored; Kind =:= shared ->
    keep(Number, Message, early(Number, Gated));
arrived(#gated{mode = {live, UpTo}, early_until = Until} = Gated, _, {Kind, Number}, Message, State) when
    Number =< UpTo, Kind =:= stored orelse Kind =:= shared
->
    is_early(Until) andalso dropped(gate_closed, Message, State),
    Gated;
arrived(#gated{mode = away} = Gated, _, {Kind, Number}, Message, State) when Kind =:= stored; Kind =:= shared ->
    Number > State#state.released orelse dropped(away, Message, State),
    Gated;
arrived(Gated, Topic, _, Message, State) ->
    pass(Topic, Message, State),
    Gated.

%% (The clock may be below 0.)
is_early(Until) -> is_integer(Until) andalso now_ms() < Until.

early(Number, #gated{early = Early, early_until = Until} = Gated) ->
    case {is_early(Until), Early} of
        {true, none} -> Gated#gated{early = {Number, Number}};
        {true, {Lowest, Highest}} -> Gated#gated{early = {min(Lowest, Number), max(Highest, Number)}};
        {false, _} -> Gated
    end.

keep(Number, _, #gated{forgotten = Forgotten} = Gated) when Number =< Forgotten ->
    Gated;
keep(Number, Message, #gated{kept = Kept} = Gated) when length(Kept) < ?KEPT ->
    Gated#gated{kept = [{Number, Message} | Kept]};
keep(Number, Message, #gated{kept = Kept} = Gated) ->
    {Lowest, _} = Oldest = lists:min([{Number, Message} | Kept]),
    Gated#gated{kept = lists:delete(Oldest, [{Number, Message} | Kept]), forgotten = Lowest}.

pass(Topic, Message, #state{client = Client}) -> Client ! {deliver, Topic, Message}.

dropped(Reason, Message, #state{session = Session, client_id = ClientId}) ->
    emqx_omp_client:dropped(Session, ClientId, Reason, Message).

now_ms() -> erlang:monotonic_time(millisecond).
