%% Publishes on their way through one connection: the queue, the window, and who waits for which answer.
%%
%% A publish has a ticket, by which its process and the connection speak of it. Mostly the process waits (publish/3),
%% and the ticket is an alias of it: what comes too late does not come at all. With `publish_ack = "async"`
%% (publish_async/2) it does not wait: message.puback puts what PUBACK needs in the table `emqx_omp_pubacks`, and
%% whoever takes it out there sends PUBACK, once: the connection when the answer is there too, or, when the connection
%% has ended, the link or the publisher's process.
%%
%% The connection holds the state below; its functions give back frames to send.
-module(emqx_omp_publishes).

-export([create_table/0, publish/3, publish_async/2, puback/4, ended/1]).
-export([new/2, handle/2, answers/2, answered/1]).
-export_type([publishes/0, ticket/0]).

%% {Ticket, Connection, Client, PacketId, Routes, Code, Version}
-define(PUBACKS, emqx_omp_pubacks).
%% A publish that is too long for the link is refused after so many ms: most publishers are disconnected, and send it
%% again at once.
-define(TOO_LONG, 2000).
%% How often publishes are looked at that nobody waits for, in ms.
-define(LOOK, 500).
%% Bytes of publishes that have no answer: more, and the publish is decided without the engine.
-define(MOST_BYTES, 16#4000000).

%% The counters of Load: bytes, and publishes.
-define(BYTES, 1).
-define(PUBLISHES, 2).

%% Where the answer goes, whose process that is, the frame, its bytes, and what NOT_ROUTED would say.
-type publish() :: {ticket(), pid(), iodata(), Bytes :: non_neg_integer(), {Id :: binary(), Topic :: binary()}}.
-type ticket() :: reference().

-record(publishes, {
    load :: counters:counters_ref(),
    window :: {Publishes :: pos_integer(), Bytes :: pos_integer()},
    %% Those that wait to be sent, and those that were sent and are not answered.
    queue = queue:new() :: queue:queue(publish()),
    pending = #{} :: #{Request :: non_neg_integer() => publish()},
    pending_bytes = 0 :: non_neg_integer(),
    %% The same publishes by what their processes do: wait, wait no longer, have not waited, and have been told that
    %% time is up.
    waiting = #{} :: #{ticket() => waiting | late | async | late_async},
    %% Answers that came before their message.puback; and until when the asynchronous ones have time, oldest first.
    early = #{} :: #{ticket() => emqx_omp_frames:answer() | unreachable},
    deadlines = queue:new() :: queue:queue({integer(), ticket()}),
    request = 0 :: non_neg_integer(),
    answered = 0 :: non_neg_integer()
}).
-opaque publishes() :: #publishes{}.

create_table() ->
    ?PUBACKS = ets:new(?PUBACKS, [named_table, public, {write_concurrency, true}]),
    ok.

%%% In the publisher's process

%% Asks the engine, and waits. `unreachable`: there is no answer within the time, in ms.
-spec publish(binary(), emqx_omp_frames:message(), timeout()) -> emqx_omp_frames:answer() | unreachable.
publish(ClientId, Message, Timeout) ->
    case prepared(ClientId, false, Message) of
        {Pid, Load, Publish} ->
            %% One reference for both: the answer, after which it is of no use any more, and the end of the process.
            Alias = erlang:monitor(process, Pid, [{alias, reply_demonitor}]),
            hand_over(Pid, Load, Alias, Publish),
            receive
                {Alias, Answer} -> Answer;
                {'DOWN', Alias, process, _, _} -> unreachable
            after Timeout -> give_up(Pid, Alias, Publish)
            end;
        Decided ->
            Decided
    end.

%% Asks the engine, and does not wait. `busy`: the window is full, and waiting is what holds the publisher back.
-spec publish_async(binary(), emqx_omp_frames:message()) ->
    {asked, pid(), ticket()} | busy | emqx_omp_frames:answer() | unreachable.
publish_async(ClientId, Message) ->
    case emqx_omp_connection:publishing(ClientId) of
        {_, _, Load, _, Window} ->
            case counters:get(Load, ?PUBLISHES) < Window of
                true -> ask_async(prepared(ClientId, true, Message));
                false -> busy
            end;
        down ->
            unreachable
    end.

ask_async({Pid, Load, Publish}) ->
    Ticket = make_ref(),
    hand_over(Pid, Load, {async, Ticket}, Publish),
    {asked, Pid, Ticket};
ask_async(Decided) ->
    Decided.

%% What the engine is to be asked, or what is decided without it.
prepared(ClientId, IsRouted, #{id := Id, topic := Topic} = Message) ->
    case emqx_omp_connection:publishing(ClientId) of
        {_, Pid, Load, Longest, _} ->
            Frame = emqx_omp_frames:encode({publish, 0, IsRouted, Message}),
            Bytes = iolist_size(Frame),
            case counters:get(Load, ?BYTES) + Bytes > ?MOST_BYTES of
                _ when Bytes > Longest -> too_long(emqx_omp_hooks:settings());
                true -> unreachable;
                false -> {Pid, Load, {Frame, Bytes, {Id, Topic}}}
            end;
        down ->
            unreachable
    end.

too_long(#{acknowledges := Acknowledges}) -> {refused, false, Acknowledges, 16#97, ?TOO_LONG}.

hand_over(Pid, Load, Ticket, {Frame, Bytes, Names}) ->
    counters:add(Load, ?BYTES, Bytes),
    counters:add(Load, ?PUBLISHES, 1),
    Pid ! {publishes, {publish, Ticket, {self(), Frame, Bytes, Names}}},
    ok.

%% message.puback of a publish that was not waited for. `held`: PUBACK is sent later; `over`: it is this process that
%% decides.
-spec puback(pid(), ticket(), byte(), {PacketId :: term(), Routes :: term(), Code :: term()}) -> held | over.
puback(Connection, Ticket, Version, {PacketId, Routes, Code}) ->
    ets:insert(?PUBACKS, {Ticket, Connection, self(), PacketId, Routes, Code, Version}),
    Connection ! {publishes, {puback, Ticket}},
    %% Whoever takes the row out decides. When the connection had ended before, nobody else may have seen it.
    case is_process_alive(Connection) of
        true -> held;
        false ->
            case ets:take(?PUBACKS, Ticket) of
                [_] -> over;
                [] -> held
            end
    end.

%% An answer that comes later does not reach this process. If none has come in between, the connection is told.
give_up(Pid, Alias, {_, _, Names}) ->
    erlang:demonitor(Alias, [flush]),
    receive
        {Alias, Answer} -> Answer
    after 0 ->
        Pid ! {publishes, {late, Alias, Names}},
        unreachable
    end.

%%% In the process of the connection

-spec new({pos_integer(), pos_integer()}, counters:counters_ref()) -> publishes().
new(Window, Load) -> #publishes{window = Window, load = Load}.

%% How many answers have come.
-spec answered(publishes()) -> non_neg_integer().
answered(#publishes{answered = Answered}) -> Answered.

%% What the functions above, and a timer, have sent to the process.
-spec handle(term(), publishes()) -> {[iodata()], publishes()}.
handle({publish, {async, Ticket}, Publish}, #publishes{waiting = Waiting, deadlines = Deadlines} = State) ->
    #{timeout := Timeout} = emqx_omp_hooks:settings(),
    queue:is_empty(Deadlines) andalso erlang:send_after(?LOOK, self(), {publishes, look}),
    enqueue(Ticket, Publish, State#publishes{
        waiting = Waiting#{Ticket => async}, deadlines = queue:in({now_ms() + Timeout, Ticket}, Deadlines)
    });
handle({publish, Alias, Publish}, #publishes{waiting = Waiting} = State) ->
    enqueue(Alias, Publish, State#publishes{waiting = Waiting#{Alias => waiting}});
handle({puback, Ticket}, #publishes{early = Early, waiting = Waiting} = State) ->
    case maps:take(Ticket, Early) of
        {Answer, Others} ->
            take_puback(Ticket, Answer),
            {[], State#publishes{early = Others}};
        error ->
            %% Its answer is not known any more: hooks after ours took longer than it may wait.
            is_map_key(Ticket, Waiting) orelse take_puback(Ticket, unreachable),
            {[], State}
    end;
handle({late, Alias, Names}, #publishes{waiting = Waiting} = State) ->
    case Waiting of
        #{Alias := _} -> {[], State#publishes{waiting = Waiting#{Alias := late}}};
        %% The answer was on its way to the process when its time was up.
        _ -> {[not_routed(Names)], State}
    end;
handle(look, State) ->
    {[], look(State)}.

%% ANSWERS of the engine. Throws `{protocol, Text}` for one that nobody asked for.
-spec answers([{non_neg_integer(), emqx_omp_frames:answer()}], publishes()) -> {[iodata()], publishes()}.
answers(Answers, State0) ->
    {Frames, State} = lists:foldl(fun answer/2, {[], State0}, Answers),
    {More, After} = send(State, []),
    {lists:reverse(Frames) ++ More, After}.

enqueue(Ticket, {Pid, Frame, Bytes, Names}, #publishes{queue = Queue} = State) ->
    send(State#publishes{queue = queue:in({Ticket, Pid, Frame, Bytes, Names}, Queue)}, []).

%% As many as the window has room for.
send(#publishes{queue = Queue, pending = Pending, pending_bytes = PendingBytes} = State, Frames) ->
    {Most, MostBytes} = State#publishes.window,
    case queue:peek(Queue) of
        {value, Publish} when map_size(Pending) < Most, PendingBytes < MostBytes ->
            {More, After} = send_one(Publish, State#publishes{queue = queue:drop(Queue)}),
            send(After, More ++ Frames);
        _ ->
            {lists:reverse(Frames), State}
    end.

send_one({Ticket, _, Frame, Bytes, _} = Publish, #publishes{waiting = Waiting, request = Request} = State) ->
    case Waiting of
        #{Ticket := late} ->
            {[], settled(Bytes, State#publishes{waiting = maps:remove(Ticket, Waiting)})};
        _ ->
            [<<Opcode, _:32, Flags>> | Message] = Frame,
            #publishes{pending = Pending, pending_bytes = PendingBytes} = State,
            Sent = State#publishes{
                request = (Request + 1) band 16#ffffffff,
                pending = Pending#{Request => Publish},
                pending_bytes = PendingBytes + Bytes
            },
            {[[<<Opcode, Request:32, Flags>> | Message]], Sent}
    end.

settled(Bytes, #publishes{load = Load} = State) ->
    counters:sub(Load, ?BYTES, Bytes),
    counters:sub(Load, ?PUBLISHES, 1),
    State.

answer({Request, Answer}, {Frames, #publishes{pending = Pending, waiting = Waiting} = State}) ->
    case maps:take(Request, Pending) of
        {{Ticket, Pid, _, Bytes, Names}, Others} ->
            #publishes{pending_bytes = PendingBytes, answered = Answered} = State,
            {How, StillWaiting} = maps:take(Ticket, Waiting),
            Settled = settled(Bytes, State#publishes{
                pending = Others,
                pending_bytes = PendingBytes - Bytes,
                waiting = StillWaiting,
                answered = Answered + 1
            }),
            case How of
                async -> {Frames, answer_async(Ticket, Answer, Settled)};
                late_async -> {Frames, Settled#publishes{early = maps:remove(Ticket, Settled#publishes.early)}};
                _ -> {told(How, Ticket, Pid, Answer, Names) ++ Frames, Settled}
            end;
        error ->
            throw({protocol, "ANSWERS: a request that was not made"})
    end.

told(late, _, _, {stored, _, _}, Names) ->
    [not_routed(Names)];
told(waiting, Alias, Pid, Answer, Names) ->
    Alias ! {Alias, Answer},
    %% A client that was ended while it waited has not routed it.
    [not_routed(Names) || {stored, _, _} <- [Answer], not is_process_alive(Pid)];
told(_, _, _, _, _) ->
    [].

not_routed({Id, Topic}) -> emqx_omp_frames:encode({not_routed, Id, Topic}).

answer_async(Ticket, Answer, #publishes{early = Early} = State) ->
    case take_puback(Ticket, Answer) of
        true -> State;
        false -> State#publishes{early = Early#{Ticket => Answer}}
    end.

%% Sends PUBACK, unless message.puback has not run yet.
take_puback(Ticket, Answer) ->
    case ets:take(?PUBACKS, Ticket) of
        [Row] ->
            release(Row, Answer),
            true;
        [] ->
            false
    end.

release({_, _, Client, PacketId, Routes, Code, Version}, Answer) ->
    Delay =
        case Answer of
            {refused, _, _, _, Ms} -> Ms;
            _ -> 0
        end,
    Message =
        case emqx_omp_hooks:puback_code(Version, Code, Answer) of
            {code, Released} -> {puback, PacketId, Routes, Released};
            disconnect -> {disconnect, 16#83, implementation_specific_error, #{}}
        end,
    _ = erlang:send_after(Delay, Client, Message),
    ok.

%% Asynchronous publishes whose time is up. Those that were answered are forgotten here, too, should no message.puback
%% have come.
look(#publishes{deadlines = Deadlines, early = Early} = State0) ->
    Now = now_ms(),
    case queue:peek(Deadlines) of
        {value, {Until, Ticket}} when Until =< Now ->
            State = State0#publishes{deadlines = queue:drop(Deadlines), early = maps:remove(Ticket, Early)},
            case State#publishes.waiting of
                %% It is routed: an answer that comes later changes nothing.
                #{Ticket := async} = Waiting ->
                    Late = State#publishes{waiting = Waiting#{Ticket := late_async}},
                    look(answer_async(Ticket, unreachable, Late));
                _ -> look(State)
            end;
        {value, _} ->
            erlang:send_after(?LOOK, self(), {publishes, look}),
            State0;
        empty ->
            State0
    end.

%% After the end of a connection: its publishes that nobody waits for are decided without the engine.
ended(Pid) ->
    Rows = ets:match_object(?PUBACKS, {'_', Pid, '_', '_', '_', '_', '_'}),
    lists:foreach(fun(Row) -> take_puback(element(1, Row), unreachable) end, Rows).

now_ms() -> erlang:monotonic_time(millisecond).
