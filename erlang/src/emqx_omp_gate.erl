%% Stands in for a client whose subscriptions catch up (docs/emqx-link.md, "Catch up, then live").
%%
%% While the replay of a subscription runs, what is stored must not be pushed to the client live as well. EMQX has no way to hold it
%% back, but a subscription of EMQX's broker belongs to a process: so this one subscribes in the client's place, keeps back what is
%% marked, and passes on the rest. A subscription in a gate is
%%
%%   held ── LIVE of the engine, with a number ──▶ live ── a second later ──▶ opening ──▶ the client's own again
%%     keeps the last marked ones      passes on what is above it      keeps everything
%%
%%   away: EMQX 5, the session has no connection. What is marked must not get into its queue.
%%
%% The functions above "The process" run in the client's process, which has in its dictionary `omp_gate` (the process) and
%% `omp_closed` (what is in it: topic to {number of the closing, options}).
-module(emqx_omp_gate).
-behaviour(gen_server).

-include("emqx_omp_session.hrl").

-export([start_link/1, close/3, close_all/2, let_go/1, away/1, open/2, open_all/0, failed/1, released/0, live/4]).
-export([init/1, handle_call/3, handle_info/2, handle_cast/2]).

%% Marked messages that are kept for each subscription, and ids by which a second copy is known.
-define(KEPT, 64).
%% How long after LIVE messages may be on their way that were answered before it, in ms (`settling` in the application's environment).
-define(SETTLING, 1000).
%% How long is waited until EMQX has taken a process out of the subscribers, in ms; and for the gate.
-define(OUT, 100).
-define(PATIENCE, 5000).
%% How long closing the gates of a resumed session may take, in ms.
-define(CLOSE_ALL, 1000).

%%% In the client's process

%% Closes the gate of a subscription that EMQX has just made. Returns the number of the closing while it is held; 0: it is not.
-spec close(pos_integer(), term(), emqx_omp_frames:subscription()) -> non_neg_integer().
close(Session, Topic, #{filter := Filter} = Subscription) ->
    Known = emqx_omp_sessions:subscription(Session, Filter),
    case closed() of
        %% Subscribed again: EMQX has made it the client's own besides.
        #{Topic := {Number, _}} -> shut(Session, Number, Topic, Subscription);
        _ when Known =/= none -> not_held(Session, Subscription);
        _ -> shut(Session, next_number(), Topic, Subscription)
    end.

not_held(Session, Subscription) ->
    emqx_omp_sessions:subscribe(Session, 0, Subscription),
    0.

%% Those of a resumed session, as long as there is time; each with its gate.
-spec close_all(pos_integer(), [{term(), emqx_omp_frames:subscription()}]) -> ok.
close_all(Session, Subscriptions) ->
    Deadline = now_ms() + ?CLOSE_ALL,
    Close = fun({Topic, Subscription}) ->
        case now_ms() < Deadline of
            true -> shut(Session, next_number(), Topic, Subscription);
            false -> not_held(Session, Subscription)
        end
    end,
    lists:foreach(Close, Subscriptions).

%% The three steps: the gate subscribes, the client unsubscribes, and what it has got meanwhile goes to the gate.
shut(Session, Number, Topic, #{filter := Filter} = Subscription) ->
    %% First in the table: from now on LIVE may come.
    emqx_omp_sessions:subscribe(Session, Number, Subscription),
    case emqx_omp_emqx:is_gateable(Topic) andalso has_topics() andalso emqx_omp_emqx:own_options(Topic) of
        Options when is_map(Options) ->
            try
                Gate = gate(Session),
                Mode = gen_server:call(Gate, {close, Topic, Filter, Number, Options}, ?PATIENCE),
                put(omp_closed, (closed())#{Topic => {Number, Options}}),
                emqx_omp_emqx:unsubscribe(Topic),
                emqx_omp_emqx:await_out(Topic, Options, now_ms() + ?OUT),
                Had = mailbox(Topic),
                ok = gen_server:call(Gate, {had, Topic, Had}, ?PATIENCE),
                held(Mode, Number, Session, Subscription)
            catch
                exit:_ ->
                    own_again(Topic, Options),
                    not_closed(Topic),
                    not_held(Session, Subscription)
            end;
        _ ->
            not_held(Session, Subscription)
    end.

held(held, Number, _, _) -> Number;
held(_, _, Session, Subscription) -> not_held(Session, Subscription).

has_topics() ->
    {settings, Filters, _, _, _} = emqx_omp_hooks:settings(),
    Filters =/= [].

closed() ->
    case get(omp_closed) of
        undefined -> #{};
        Closed -> Closed
    end.

next_number() ->
    Number =
        case get(omp_closings) of
            undefined -> 1;
            Before -> Before + 1
        end,
    put(omp_closings, Number),
    Number.

gate(Session) ->
    case get(omp_gate) of
        undefined ->
            #session{client_id = ClientId} = emqx_omp_sessions:find(Session),
            {ok, Gate} = emqx_offline_message_plugin_sup:start_gate({self(), ClientId, Session}),
            put(omp_gate, Gate),
            emqx_omp_sessions:set_gate(Session, self(), Gate),
            Gate;
        Gate ->
            Gate
    end.

mailbox(Topic) ->
    receive
        {deliver, Topic, Message} -> [Message | mailbox(Topic)]
    after 0 -> []
    end.

%% A gate with nothing in it goes.
not_closed(Topic) ->
    Others = maps:remove(Topic, closed()),
    put(omp_closed, Others),
    Gate = get(omp_gate),
    case map_size(Others) of
        0 when is_pid(Gate) ->
            erase(omp_gate),
            emqx_omp_sessions:set_gate(get(omp_session), self(), undefined),
            gen_server:cast(Gate, stop);
        _ ->
            ok
    end.

own_again(Topic, Options) ->
    #{clientid := ClientId} = get(omp_client_info),
    emqx_omp_emqx:own_options(Topic) =:= undefined andalso emqx_omp_emqx:subscribe(Topic, ClientId, Options),
    ok.

%% The client has unsubscribed: so does the gate, which has subscribed for it.
let_go(Topic) ->
    case closed() of
        #{Topic := _} ->
            _ = ask({leave, Topic}),
            not_closed(Topic);
        _ ->
            ok
    end.

ask(Request) ->
    try
        gen_server:call(get(omp_gate), Request, ?PATIENCE)
    catch
        exit:_ -> gone
    end.

%% EMQX 5: what is stored must not get into the queue of a session without a connection.
away(Session) ->
    Open = [
        {emqx_omp_emqx:topic(Filter), Subscription}
     || {_, #{filter := Filter} = Subscription} <- emqx_omp_sessions:subscriptions(Session),
        not is_map_key(emqx_omp_emqx:topic(Filter), closed())
    ],
    close_all(Session, Open),
    get(omp_gate) =:= undefined orelse ask(away),
    ok.

%% The engine knows that the client is away.
released() ->
    Gate = get(omp_gate),
    is_pid(Gate) andalso (Gate ! released),
    ok.

%% Makes the subscription the client's own again; `any` number: whatever state it is in.
open(Topic, Number) ->
    case closed() of
        #{Topic := {Closing, Options}} when Number =:= any; Number =:= Closing ->
            UpTo = ask({keep, Topic}),
            own_again(Topic, Options),
            Kept =
                case ask({leave, Topic}) of
                    {ok, Messages} -> Messages;
                    gone -> []
                end,
            take_back(Topic, UpTo, Kept, mailbox(Topic)),
            not_closed(Topic);
        _ ->
            ok
    end.

%% Those that only the gate had, then the client's own; without what the replay has sent.
take_back(Topic, UpTo, Kept, Own) ->
    Ids = [emqx_omp_emqx:id(Message) || Message <- Own],
    OnlyKept = [Message || Message <- Kept, not lists:member(emqx_omp_emqx:id(Message), Ids)],
    [dropped(gate_closed, Message) || Message <- OnlyKept, is_pending(Message)],
    [
        self() ! {deliver, Topic, Message}
     || Message <- [M || M <- OnlyKept, not is_pending(M)] ++ Own, not is_up_to(UpTo, emqx_omp_emqx:mark(Message))
    ],
    ok.

is_pending(Message) -> emqx_omp_emqx:mark(Message) =:= {pending, 0}.

dropped(Reason, Message) ->
    #{clientid := ClientId} = get(omp_client_info),
    dropped(Reason, Message, get(omp_session), ClientId).

is_up_to({ok, UpTo}, {Kind, Number}) when Kind =:= stored; Kind =:= shared -> Number =< UpTo;
is_up_to(_, _) -> false.

open_all() ->
    [open(Topic, any) || Topic <- maps:keys(closed())],
    ok.

%% The gate has ended by itself: what it may have lost, the store has.
failed(Gate) ->
    case get(omp_gate) of
        Gate ->
            erase(omp_gate),
            Session = get(omp_session),
            #{clientid := ClientId} = get(omp_client_info),
            Closed = closed(),
            erase(omp_closed),
            maps:foreach(
                fun(Topic, {_, Options}) ->
                    own_again(Topic, Options),
                    Filter = emqx_omp_emqx:filter(Topic),
                    emqx_omp_sessions:set_held(Session, Filter, 0),
                    emqx_omp_connection:send(ClientId, {missed, Session, Filter, 0, 16#ffffffffffffffff})
                end,
                Closed
            );
        _ ->
            ok
    end.

now_ms() -> erlang:monotonic_time(millisecond).

%%% From the connection

live(Gate, Filter, Number, UpTo) ->
    Gate ! {live, Filter, Number, UpTo},
    ok.

%%% The process

-record(gated, {
    filter :: binary(),
    number :: pos_integer(),
    mode = held :: held | {live, non_neg_integer()} | {opening, non_neg_integer() | infinity} | away,
    %% Marked ones with their numbers, newest first (held), or everything (opening).
    kept = [] :: [{non_neg_integer(), term()}],
    %% The highest number that is not kept any more.
    forgotten = 0 :: non_neg_integer(),
    recent = [] :: [binary()]
}).
-record(state, {
    client :: pid(),
    client_id :: binary(),
    session :: pos_integer(),
    is_released = false :: boolean(),
    topics = #{} :: #{term() => #gated{}}
}).

start_link(Client) -> gen_server:start_link(?MODULE, Client, []).

init({Client, ClientId, Session}) ->
    _ = erlang:monitor(process, Client),
    {ok, #state{client = Client, client_id = ClientId, session = Session}}.

handle_call({close, Topic, Filter, Number, Options}, _, #state{topics = Topics} = State) ->
    case Topics of
        #{Topic := #gated{number = Number, mode = Mode}} ->
            {reply, Mode, State};
        _ ->
            emqx_omp_emqx:subscribe(Topic, Options),
            {reply, held, State#state{topics = Topics#{Topic => #gated{filter = Filter, number = Number}}}}
    end;
handle_call({had, Topic, Messages}, _, #state{topics = Topics} = State) ->
    #{Topic := #gated{recent = Recent}} = Topics,
    New = [Message || Message <- Messages, not lists:member(emqx_omp_emqx:id(Message), Recent)],
    {reply, ok, lists:foldl(fun(Message, S) -> arrived(Topic, Message, S) end, State, New)};
handle_call({keep, Topic}, _, #state{topics = Topics} = State) ->
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
handle_call({leave, Topic}, _, #state{topics = Topics} = State0) ->
    case Topics of
        #{Topic := _} ->
            Options = emqx_omp_emqx:own_options(Topic),
            emqx_omp_emqx:unsubscribe(Topic),
            emqx_omp_emqx:await_out(Topic, Options, now_ms() + ?OUT),
            State = lists:foldl(fun(Message, S) -> arrived(Topic, Message, S) end, State0, mailbox(Topic)),
            {#gated{kept = Kept}, Others} = maps:take(Topic, State#state.topics),
            {reply, {ok, [Message || {_, Message} <- lists:reverse(Kept)]}, State#state{topics = Others}};
        _ ->
            {reply, gone, State0}
    end;
handle_call(away, _, #state{topics = Topics} = State) ->
    Away = maps:map(fun(_, Gated) -> Gated#gated{mode = away, kept = []} end, Topics),
    {reply, ok, State#state{topics = Away}}.

handle_cast(stop, State) ->
    {stop, normal, State}.

handle_info({deliver, Topic, Message}, #state{topics = Topics} = State) when is_map_key(Topic, Topics) ->
    {noreply, arrived(Topic, Message, State)};
handle_info({live, Filter, Number, UpTo}, State) ->
    {noreply, caught_up(emqx_omp_emqx:topic(Filter), Number, UpTo, State)};
handle_info(released, State) ->
    {noreply, State#state{is_released = true}};
handle_info({'DOWN', _, process, Client, _}, #state{client = Client} = State) ->
    {stop, normal, State};
handle_info(_, State) ->
    {noreply, State}.

caught_up(Topic, Number, UpTo, #state{topics = Topics, session = Session, client_id = ClientId, client = Client} = State) ->
    case Topics of
        #{Topic := #gated{number = Number, mode = held, filter = Filter} = Gated} ->
            emqx_omp_sessions:set_held(Session, Filter, 0),
            #gated{kept = Kept, forgotten = Forgotten} = Gated,
            [pass(Topic, Message, State) || {Of, Message} <- lists:sort(Kept), Of > UpTo],
            Forgotten > UpTo andalso emqx_omp_connection:send(ClientId, {missed, Session, Filter, UpTo, Forgotten}),
            _ = erlang:send_after(application:get_env(emqx_offline_message_plugin, settling, ?SETTLING), Client, {timeout, make_ref(), {omp, {open, Topic, Number}}}),
            State#state{topics = Topics#{Topic := Gated#gated{mode = {live, UpTo}, kept = []}}};
        _ ->
            %% Of a closing before, or of one that the client has opened itself.
            State
    end.

arrived(Topic, Message, #state{topics = Topics} = State) ->
    #{Topic := #gated{recent = Recent} = Gated0} = Topics,
    Gated = Gated0#gated{recent = lists:sublist([emqx_omp_emqx:id(Message) | Recent], ?KEPT)},
    State#state{topics = Topics#{Topic := arrived(Gated, Topic, emqx_omp_emqx:mark(Message), Message, State)}}.

arrived(#gated{mode = {opening, _}, kept = Kept} = Gated, _, _, Message, _) ->
    Gated#gated{kept = [{0, Message} | Kept]};
arrived(#gated{mode = away} = Gated, _, {pending, _}, Message, State) ->
    dropped(away, Message, State),
    Gated;
arrived(Gated, _, {pending, _}, Message, State) ->
    %% It has no number, by which could be told whether the replay sends it.
    dropped(gate_closed, Message, State),
    Gated;
arrived(#gated{mode = held} = Gated, _, {Kind, Number}, Message, _) when Kind =:= stored; Kind =:= shared ->
    keep(Number, Message, Gated);
arrived(#gated{mode = {live, UpTo}} = Gated, _, {Kind, Number}, _, _) when
    Number =< UpTo, Kind =:= stored orelse Kind =:= shared
->
    Gated;
arrived(#gated{mode = away} = Gated, _, {Kind, _}, Message, State) when Kind =:= stored; Kind =:= shared ->
    State#state.is_released orelse dropped(away, Message, State),
    Gated;
arrived(Gated, Topic, _, Message, State) ->
    pass(Topic, Message, State),
    Gated.

keep(Number, _, #gated{forgotten = Forgotten} = Gated) when Number =< Forgotten ->
    Gated;
keep(Number, Message, #gated{kept = Kept} = Gated) when length(Kept) < ?KEPT ->
    Gated#gated{kept = [{Number, Message} | Kept]};
keep(Number, Message, #gated{kept = Kept} = Gated) ->
    {Lowest, _} = Oldest = lists:min([{Number, Message} | Kept]),
    Gated#gated{kept = lists:delete(Oldest, [{Number, Message} | Kept]), forgotten = Lowest}.

pass(Topic, Message, #state{client = Client}) -> Client ! {deliver, Topic, Message}.

dropped(Reason, Message, #state{session = Session, client_id = ClientId}) ->
    dropped(Reason, Message, Session, ClientId).

dropped(Reason, Message, Session, ClientId) ->
    Frame = {dropped, Session, Reason, emqx_omp_emqx:id(Message), emqx_omp_emqx:topic_of(Message)},
    emqx_omp_connection:send(ClientId, Frame).
