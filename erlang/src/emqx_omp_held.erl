%% Subscriptions of a client that a gate has, for as long as they catch up: what the client's own process does for it.
%%
%% The gate (emqx_omp_gate) subscribes in the client's place, and the client unsubscribes; later the other way round.
%% Only the client's process can do this, in the hooks. In its dictionary it has `omp_gate` (the process), `omp_closed`
%% (what is in it: topic to {number of the closing, options}), `omp_closings` (the last number), and for a while after a
%% gate has opened `omp_sent` (until when, and the ids of what has been sent since).
-module(emqx_omp_held).

-include("emqx_omp_session.hrl").

-export([close/3, close_all/3, let_go/1, away/1, taken_over/2, open/2, open_all/0, failed/1, released/1]).
-export([late/3, sent/1, mailbox/1, on_their_way/0]).

%% How long is waited until EMQX has taken the process out of the subscribers, in ms; and for the gate.
-define(OUT, 100).
-define(PATIENCE, 5000).
%% How long closing the gates of a resumed session may take, in ms.
-define(CLOSE_ALL, 1000).
%% Ids of messages that the session has sent since a gate opened, by which a second copy is known.
-define(SENT, 256).

%% Closes the gate for a subscription that EMQX has just made. Returns the number of the closing; 0: it is not held.
-spec close(pos_integer(), term(), emqx_omp_frames:subscription()) -> non_neg_integer().
close(Session, Topic, #{filter := Filter} = Subscription) ->
    Known = emqx_omp_sessions:subscription(Session, Filter),
    case closed() of
        %% Subscribed again: EMQX has made it the client's own besides.
        #{Topic := {Number, _}} -> shut(Session, Number, subscribed, Topic, Subscription);
        _ when Known =/= none -> not_held(Session, Subscription);
        _ -> shut(Session, next_number(), subscribed, Topic, Subscription)
    end.

not_held(Session, Subscription) ->
    emqx_omp_sessions:subscribe(Session, 0, Subscription),
    0.

%% Those of a session that is resumed or goes away, as long as there is time.
-spec close_all(pos_integer(), resumed | away, [{term(), emqx_omp_frames:subscription()}]) -> ok.
close_all(Session, Why, Subscriptions) ->
    Deadline = now_ms() + ?CLOSE_ALL,
    Close = fun({Topic, Subscription}) ->
        case now_ms() < Deadline of
            true -> shut(Session, next_number(), Why, Topic, Subscription);
            false -> not_held(Session, Subscription)
        end
    end,
    lists:foreach(Close, Subscriptions).

%% The three steps: the gate subscribes, the client unsubscribes, and what it has got meanwhile goes to the gate.
shut(Session, Number, Why, Topic, #{filter := Filter} = Subscription) ->
    %% First in the table: from now on LIVE may come.
    emqx_omp_sessions:subscribe(Session, Number, Subscription),
    Options = emqx_omp_emqx:own_options(Topic),
    case emqx_omp_emqx:is_gateable(Topic, Options) andalso has_topics() of
        true ->
            try
                Gate = gate(Session),
                Mode = gen_server:call(Gate, {close, Topic, Filter, Number, Why, Options}, ?PATIENCE),
                put(omp_closed, (closed())#{Topic => {Number, Options}}),
                emqx_omp_emqx:unsubscribe(Topic),
                emqx_omp_emqx:await_out(Topic, Options, now_ms() + ?OUT),
                %% What the replay has sent stays here: the gate has had the same messages live, and dropped them.
                {Replayed, Had} = lists:partition(fun is_replayed/1, own_mailbox(Topic)),
                [self() ! {deliver, Topic, Message} || Message <- Replayed],
                ok = gen_server:call(Gate, {had, Topic, Had}, ?PATIENCE),
                held(Mode, Number, Session, Subscription)
            catch
                exit:_ ->
                    %% One that is only slow subscribes all the same.
                    is_pid(get(omp_gate)) andalso gen_server:cast(get(omp_gate), {drop, Topic}),
                    own_again(Topic, Options),
                    not_closed(Topic),
                    not_held(Session, Subscription)
            end;
        false ->
            not_held(Session, Subscription)
    end.

is_replayed(Message) -> emqx_omp_emqx:mark(Message) =:= {replayed, 0}.

held(held, Number, _, _) -> Number;
held(_, _, Session, Subscription) -> not_held(Session, Subscription).

has_topics() ->
    #{filters := Filters} = emqx_omp_hooks:settings(),
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

mailbox() ->
    receive
        {deliver, _, _} = Delivery -> [Delivery | mailbox()]
    after 0 -> []
    end.

%% Takes out what has been delivered to the calling process.
mailbox(Topic) ->
    receive
        {deliver, Topic, Message} -> [Message | mailbox(Topic)]
    after 0 -> []
    end.

%% The same without what is there for a shared subscription, which has no gate.
own_mailbox(Topic) ->
    {Shared, Own} = lists:partition(fun emqx_omp_emqx:is_to_group/1, mailbox(Topic)),
    [self() ! {deliver, Topic, Message} || Message <- Shared],
    Own.

%% Ids of what is in the gate and in the mailbox, where it stays. First the gate: it passes on to the mailbox.
on_their_way() ->
    Kept =
        case is_pid(get(omp_gate)) andalso ask(kept) of
            Ids when is_list(Ids) -> Ids;
            _ -> []
        end,
    Kept ++ in_mailbox().

in_mailbox() ->
    {messages, Messages} = process_info(self(), messages),
    [emqx_omp_emqx:id(Message) || {deliver, _, Message} <- Messages].

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
            _ = ask({drop, Topic}),
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
away(Session) -> away(Session, emqx_omp_emqx:is_six()).

away(_, true) ->
    ok;
away(Session, false) ->
    Open = [
        {emqx_omp_emqx:topic(Filter), Subscription}
     || {_, #{filter := Filter} = Subscription} <- emqx_omp_sessions:subscriptions(Session),
        not is_map_key(emqx_omp_emqx:topic(Filter), closed())
    ],
    close_all(Session, away, Open),
    get(omp_gate) =:= undefined orelse ask(away),
    ok.

%% Another process has the session now, with what had come to this one until a moment ago. What a gate has still passed
%% on since then ends here.
taken_over(Session, ClientId) ->
    [ask({drop, Topic}) || Topic <- maps:keys(closed())],
    erase(omp_closed),
    Others = emqx_omp_emqx:channels(ClientId) -- [self()],
    lists:foreach(fun(Delivery) -> left_over(Delivery, Session, ClientId, Others) end, mailbox()).

%% What is stored comes from the store; what is not goes after the session, unless it may be lost.
left_over({deliver, _, Message} = Delivery, Session, ClientId, Others) ->
    case {emqx_omp_emqx:mark(Message), emqx_omp_emqx:delivered(Message)} of
        {undefined, #{qos := 0}} -> ok;
        {undefined, _} -> [Pid ! Delivery || Pid <- Others];
        _ -> emqx_omp_client:dropped(Session, ClientId, away, Message)
    end.

%% The engine counts nothing above the number as pushed to the client, which is away.
released(Number) ->
    Gate = get(omp_gate),
    is_pid(Gate) andalso (Gate ! {released, Number}),
    ok.

stays_closed(Session) -> is_away(Session) andalso not emqx_omp_emqx:is_six().

is_away(Session) ->
    case emqx_omp_sessions:find(Session) of
        #session{is_away = IsAway} -> IsAway;
        none -> false
    end.

%% Makes the subscription the client's own again; `any` number: whatever state it is in. With a number: unless the
%% client has gone away since it was asked for.
open(Topic, Number) ->
    case Number =/= any andalso stays_closed(get(omp_session)) of
        true -> ok;
        false -> open_now(Topic, Number)
    end.

open_now(Topic, Number) ->
    case closed() of
        #{Topic := {Closing, Options}} when Number =:= any; Number =:= Closing ->
            UpTo = ask({keep, Topic}),
            own_again(Topic, Options),
            Kept =
                case ask({leave, Topic}) of
                    {ok, Messages} -> Messages;
                    gone -> []
                end,
            take_back(Topic, UpTo, Kept, own_mailbox(Topic)),
            put(omp_sent, {now_ms() + emqx_omp_gate:settling(), sent_ids()}),
            not_closed(Topic);
        _ ->
            ok
    end.

%% The gate got a message after it had opened: EMQX had looked it up before. Where it looked both up, this process has
%% or had the message, too; unless its queue may hide it, and the engine asks later.
late(Topic, UpTo, Message) ->
    IsOwn = not is_map_key(Topic, closed()) andalso emqx_omp_emqx:own_options(Topic) =/= undefined,
    IsHere = lists:member(emqx_omp_emqx:id(Message), sent_ids() ++ in_mailbox()),
    case IsHere orelse get(omp_sent) =:= undefined orelse is_full(get(omp_session)) of
        false when IsOwn -> take_back(Topic, {ok, UpTo}, [Message], []);
        _ -> ok
    end.

sent_ids() ->
    case get(omp_sent) of
        {_, Ids} -> Ids;
        undefined -> []
    end.

is_full(Session) ->
    case emqx_omp_sessions:find(Session) of
        #session{receive_maximum = Maximum} -> length(emqx_omp_sessions:held(Session)) >= Maximum;
        none -> true
    end.

%% The session sends a message.
sent(Message) ->
    case get(omp_sent) of
        undefined ->
            ok;
        {Until, Ids} ->
            case now_ms() < Until of
                true -> put(omp_sent, {Until, lists:sublist([emqx_omp_emqx:id(Message) | Ids], ?SENT)});
                false -> erase(omp_sent)
            end,
            ok
    end.

%% Those that only the gate had, then the client's own; without what the replay has sent.
take_back(Topic, UpTo, Kept, Own) ->
    Ids = [emqx_omp_emqx:id(Message) || Message <- Own],
    OnlyKept = [Message || Message <- Kept, not lists:member(emqx_omp_emqx:id(Message), Ids)],
    #{clientid := ClientId} = get(omp_client_info),
    [emqx_omp_client:dropped(get(omp_session), ClientId, gate_closed, M) || M <- OnlyKept, is_pending(M)],
    [
        self() ! {deliver, Topic, Message}
     || Message <- [M || M <- OnlyKept, not is_pending(M)] ++ Own, not is_up_to(UpTo, emqx_omp_emqx:live_mark(Message))
    ],
    ok.

is_pending(Message) ->
    case emqx_omp_emqx:live_mark(Message) of
        {pending, _} -> true;
        _ -> false
    end.

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
            ),
            is_away(Session) andalso away(Session),
            ok;
        _ ->
            ok
    end.

now_ms() -> erlang:monotonic_time(millisecond).
