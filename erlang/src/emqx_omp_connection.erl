%% One connection of the link: its start, its queue and window, and who waits for which answer.
%%
%% A process of the link, which it ends with, for whatever reason. The functions above "The process" run in the processes that call
%% them, mostly those of clients. A row of the table `emqx_omp_connections` says that the connection is up:
%%
%%   {Index, Pid, Load, Longest, Window, Since}
%%
%% Load counts what others have given to the process and it has not got rid of yet; Window: publishes without an answer; Since: ms
%% of the monotonic clock.
%%
%% `publish_ack = "async"`: the publisher's process does not wait. message.puback puts what PUBACK needs in the table
%% `emqx_omp_pubacks`, and whoever takes it out there sends PUBACK, once: the connection when the answer is there too, or, when the
%% connection has ended, the link, or the publisher's process itself.
-module(emqx_omp_connection).
-behaviour(gen_server).

-export([create_tables/0, send/2, publish/3, publish_async/2, puback/4, is_new/1, start_link/1, give/2, up/1, down/2, ended/1]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, format_status/1]).

-define(TABLE, emqx_omp_connections).
%% {Ticket, Connection, Client, PacketId, Routes, Code, Version}
-define(PUBACKS, emqx_omp_pubacks).
%% How often publishes are looked at that nobody waits for, in ms.
-define(LOOK, 500).

%% Until WELCOME: bytes of a frame, and ms.
-define(START_LONGEST, 4096).
-define(START_TIMEOUT, 5000).
%% Bytes that are read at once.
-define(READ, 65536).
%% How long one send may take, in ms.
-define(SEND_TIMEOUT, 5000).
%% What is not yet written: more, and the link is closed.
-define(MAX_FRAMES, 100000).
-define(MAX_BYTES, 16#4000000).
%% Payloads of publishes that wait for their turn: more, and the publish is decided without the engine.
-define(MAX_PUBLISHES, 16#4000000).
%% What is gathered before it is written, even if there is more to do.
-define(GATHERED, 16#100000).
%% Sessions that are told again at a time, before others have their turn.
-define(TOLD_AT_ONCE, 100).

%% The counters of Load.
-define(FRAMES, 1).
-define(BYTES, 2).
-define(PUBLISHES, 3).
-define(UNANSWERED, 4).

-record(state, {
    options :: map(),
    transport :: gen_tcp | ssl | undefined,
    socket :: gen_tcp:socket() | ssl:sslsocket() | undefined,
    load :: counters:counters_ref(),
    is_up = false :: boolean(),
    longest = ?START_LONGEST :: pos_integer(),
    heartbeat = ?START_TIMEOUT :: pos_integer(),
    heard = 0 :: integer(),
    %% Read, and not yet a frame.
    buffer = <<>> :: binary(),
    %% To be written: frames with their lengths, newest first, their bytes, and how many of them and of these are in Load.
    out = [] :: [iodata()],
    out_bytes = 0 :: non_neg_integer(),
    out_load = {0, 0} :: {non_neg_integer(), non_neg_integer()},
    %% Publishes that wait to be sent, and those that were sent and are not answered.
    queue = queue:new() :: queue:queue(publish()),
    pending = #{} :: #{Request :: non_neg_integer() => publish()},
    window = {0, 0} :: {Publishes :: non_neg_integer(), Bytes :: non_neg_integer()},
    pending_bytes = 0 :: non_neg_integer(),
    %% The same publishes by what their processes know: does the process still wait?
    waiting = #{} :: #{ticket() => waiting | late | async | late_async},
    %% Answers that came before their message.puback; and until when the asynchronous ones have time, oldest first.
    early = #{} :: #{ticket() => emqx_omp_frames:answer() | unreachable},
    deadlines = queue:new() :: queue:queue({integer(), ticket()}),
    request = 0 :: non_neg_integer(),
    answered = 0 :: non_neg_integer()
}).
%% Where the answer goes, whose process that is, the frame, its bytes, and what NOT_ROUTED would say.
-type publish() :: {ticket(), pid(), iodata(), Bytes :: non_neg_integer(), {Id :: binary(), Topic :: binary()}}.
%% Names a publish between its process and the connection.
-type ticket() :: reference().

create_tables() ->
    ?TABLE = ets:new(?TABLE, [named_table, public, {read_concurrency, true}]),
    ?PUBACKS = ets:new(?PUBACKS, [named_table, public, {write_concurrency, true}]),
    ok.

%% Where the frames of a client go.
row(ClientId) ->
    case ets:lookup(?TABLE, erlang:phash2(ClientId, persistent_term:get({emqx_omp, connections}, 1))) of
        [Row] -> Row;
        [] -> down
    end.

%% Whether the link has been up for less than so many ms (or is down): its engine does not know what was routed before.
is_new(Ms) ->
    case row(<<>>) of
        {_, _, _, _, _, Since} -> now_ms() - Since < Ms;
        down -> true
    end.

%% Sends a frame about the client, or nothing where the link is not up: then all is told again.
-spec send(binary(), emqx_omp_frames:frame()) -> ok.
send(ClientId, Frame) ->
    case row(ClientId) of
        {Index, Pid, Load, _, _, _} -> give(Index, Pid, Load, emqx_omp_frames:encode(Frame));
        down -> ok
    end.

give(Index, Pid, Load, Frame) ->
    Bytes = iolist_size(Frame),
    counters:add(Load, ?FRAMES, 1),
    counters:add(Load, ?BYTES, Bytes),
    case counters:get(Load, ?FRAMES) > ?MAX_FRAMES orelse counters:get(Load, ?BYTES) > ?MAX_BYTES of
        true ->
            %% So that nobody gives it more until it has gone.
            down(Index, Pid),
            exit(Pid, {shutdown, {bound, <<"more waits to be written to the engine than may">>}}),
            ok;
        false ->
            Pid ! {frame, Frame, Bytes},
            ok
    end.

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
-spec publish_async(binary(), emqx_omp_frames:message()) -> {asked, pid(), ticket()} | busy | emqx_omp_frames:answer() | unreachable.
publish_async(ClientId, Message) ->
    case row(ClientId) of
        {_, _, Load, _, Window, _} ->
            case counters:get(Load, ?UNANSWERED) < Window of
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
    case row(ClientId) of
        {_, Pid, Load, Longest, _, _} ->
            Frame = emqx_omp_frames:encode({publish, 0, IsRouted, Message}),
            Bytes = iolist_size(Frame),
            case counters:get(Load, ?PUBLISHES) + Bytes > ?MAX_PUBLISHES of
                _ when Bytes > Longest -> {refused, false, false, 16#97, 0};
                true -> unreachable;
                false -> {Pid, Load, {Frame, Bytes, {Id, Topic}}}
            end;
        down ->
            unreachable
    end.

hand_over(Pid, Load, Ticket, {Frame, Bytes, Names}) ->
    counters:add(Load, ?PUBLISHES, Bytes),
    counters:add(Load, ?UNANSWERED, 1),
    Pid ! {publish, Ticket, {self(), Frame, Bytes, Names}},
    ok.

%% message.puback of a publish that was not waited for. `held`: PUBACK is sent later; `over`: it is this process that decides.
-spec puback(pid(), ticket(), byte(), {PacketId :: term(), Routes :: term(), Code :: term()}) -> held | over.
puback(Connection, Ticket, Version, {PacketId, Routes, Code}) ->
    ets:insert(?PUBACKS, {Ticket, Connection, self(), PacketId, Routes, Code, Version}),
    Connection ! {puback, Ticket},
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
        Pid ! {late, Alias, Names},
        unreachable
    end.

%%% The process

%% Options: index and number (of connections), host, port, tls (its options, or false), secret (a function), instance, node, emqx,
%% plugin (as HELLO has them), link (a process, which is told `{welcomed, Pid, Index}` and `{engine, Index, Frame, Bytes}`).
start_link(Options) -> gen_server:start_link(?MODULE, Options, []).

%% A frame about no client, from the link itself.
give(Pid, Frame) -> gen_server:cast(Pid, {give, Frame}).

%% From now on there are frames about clients; those who are there are told again.
up(Pid) -> gen_server:cast(Pid, up).

%% No frames for it any more.
down(Index, Pid) ->
    ets:match_delete(?TABLE, {Index, Pid, '_', '_', '_', '_'}),
    ok.

%% After its end: publishes that nobody waits for are decided without the engine.
ended(Pid) ->
    [ets:take(?PUBACKS, Ticket) =/= [] andalso release(Row, unreachable)
     || {Ticket, _, _, _, _, _, _} = Row <- ets:match_object(?PUBACKS, {'_', Pid, '_', '_', '_', '_', '_'})],
    ok.

init(Options) ->
    %% What is in its mailbox and its state is in no report of a crash: the configuration goes through here.
    process_flag(sensitive, true),
    {ok, #state{options = Options, load = counters:new(4, [atomics])}, {continue, start}}.

handle_continue(start, #state{options = #{link := Link, index := Index}} = State0) ->
    guarded(State0, fun() ->
        State = shake_hands(connect(State0)),
        Link ! {welcomed, self(), Index},
        erlang:send_after(State#state.heartbeat, self(), heartbeat),
        read_on(State#state{heard = now_ms()})
    end).

handle_call(_, _, State) ->
    {noreply, State}.

handle_cast({give, Frame}, State) ->
    gathered(append(emqx_omp_frames:encode(Frame), State));
handle_cast(up, #state{options = #{index := Index, number := Number}, load = Load, longest = Longest} = State) ->
    %% First the row: who comes from here on is told by its own hook.
    {Window, _} = State#state.window,
    ets:insert(?TABLE, {Index, self(), Load, Longest, Window, now_ms()}),
    Sessions = [Session || {Session, ClientId} <- emqx_omp_sessions:all(), erlang:phash2(ClientId, Number) =:= Index],
    self() ! {tell_again, Sessions},
    gathered(State#state{is_up = true}).

%% gen_server says `timeout` as soon as the mailbox is empty: then what was gathered meanwhile is written at once.
handle_info(timeout, State) ->
    guarded(State, fun() -> {noreply, flush(State)} end);
handle_info({frame, Frame, Bytes}, #state{out_load = {Frames, OfBytes}} = State) ->
    gathered(append(Frame, State#state{out_load = {Frames + 1, OfBytes + Bytes}}));
handle_info({publish, {async, Ticket}, Publish}, #state{waiting = Waiting, deadlines = Deadlines} = State) ->
    {settings, _, _, _, Timeout} = emqx_omp_hooks:settings(),
    queue:is_empty(Deadlines) andalso erlang:send_after(?LOOK, self(), look),
    gathered(enqueue(Ticket, Publish, State#state{
        waiting = Waiting#{Ticket => async}, deadlines = queue:in({now_ms() + Timeout, Ticket}, Deadlines)
    }));
handle_info({publish, Alias, Publish}, #state{waiting = Waiting} = State) ->
    gathered(enqueue(Alias, Publish, State#state{waiting = Waiting#{Alias => waiting}}));
handle_info({puback, Ticket}, #state{early = Early} = State) ->
    case maps:take(Ticket, Early) of
        {Answer, Others} ->
            take_puback(Ticket, Answer),
            gathered(State#state{early = Others});
        error ->
            gathered(State)
    end;
handle_info(look, State) ->
    gathered(look(State));
handle_info({late, Alias, Names}, #state{waiting = Waiting} = State) ->
    case Waiting of
        #{Alias := _} -> gathered(State#state{waiting = Waiting#{Alias := late}});
        %% The answer was on its way to the process when its time was up.
        _ -> gathered(not_routed(Names, State))
    end;
handle_info({tell_again, Sessions}, State) ->
    {Now, Later} = lists:split(min(?TOLD_AT_ONCE, length(Sessions)), Sessions),
    Later =:= [] orelse (self() ! {tell_again, Later}),
    Frames = [Frame || Session <- Now, {ok, Frame} <- [emqx_omp_sessions:connected(Session, true)]],
    gathered(lists:foldl(fun(Frame, S) -> append(emqx_omp_frames:encode(Frame), S) end, State, Frames));
handle_info(heartbeat, #state{heartbeat = Heartbeat, heard = Heard, answered = Answered} = State) ->
    erlang:send_after(Heartbeat, self(), heartbeat),
    case now_ms() - Heard > 3 * Heartbeat of
        true -> stop({hung, io_lib:format("the engine has been silent for ~b ms", [3 * Heartbeat])}, State);
        false -> gathered(append(emqx_omp_frames:encode({ping, Answered}), State))
    end;
handle_info({Kind, Socket, Data}, #state{socket = Socket} = State) when Kind =:= tcp; Kind =:= ssl ->
    guarded(State, fun() ->
        {noreply, S, 0} = read_on(received(Data, State#state{heard = now_ms()})),
        gathered(S)
    end);
handle_info({Kind, Socket}, #state{socket = Socket} = State) when Kind =:= tcp_closed; Kind =:= ssl_closed ->
    stop({closed, "the engine has closed the connection"}, State);
handle_info({Kind, Socket, Reason}, #state{socket = Socket} = State) when Kind =:= tcp_error; Kind =:= ssl_error ->
    stop({closed, ["the connection to the engine is broken: ", problem(Reason)]}, State);
handle_info(_, State) ->
    gathered(State).

%% Nothing of the state: payloads, and the configuration on its way.
format_status(Status) ->
    maps:map(fun(_, _) -> hidden end, Status).

stop({Kind, Text}, State) ->
    {stop, {shutdown, {Kind, unicode:characters_to_binary(Text)}}, State}.

%% Runs what may throw why the connection ends.
guarded(State, Work) ->
    try
        Work()
    catch
        throw:{Kind, Text} -> stop({Kind, Text}, State)
    end.

now_ms() -> erlang:monotonic_time(millisecond).

%%% Start

connect(#state{options = #{host := Host, port := Port, tls := Tls}} = State) ->
    Families =
        case inet:parse_address(Host) of
            {ok, {_, _, _, _}} -> [inet];
            {ok, _} -> [inet6];
            {error, _} -> [inet, inet6]
        end,
    Own = [
        binary,
        {active, false},
        {nodelay, true},
        {buffer, ?READ},
        {send_timeout, ?SEND_TIMEOUT},
        {send_timeout_close, true}
    ],
    {Transport, More} =
        case Tls of
            false -> {gen_tcp, []};
            _ -> {ssl, Tls}
        end,
    State#state{transport = Transport, socket = connect(Transport, Host, Port, Families, Own ++ More)}.

connect(Transport, Host, Port, [Family | Families], Options) ->
    case Transport:connect(Host, Port, [Family | Options], ?START_TIMEOUT) of
        {ok, Socket} -> Socket;
        {error, nxdomain} when Families =/= [] -> connect(Transport, Host, Port, Families, Options);
        {error, Reason} -> throw({unreachable, ["it cannot be reached: ", problem(Reason)]})
    end.

shake_hands(#state{options = #{index := Index, number := Number, instance := Instance, secret := Secret} = Options} = State) ->
    #{node := Node, emqx := Emqx, plugin := Plugin} = Options,
    Deadline = now_ms() + ?START_TIMEOUT,
    Nonce = crypto:strong_rand_bytes(32),
    Hello = iolist_to_binary(
        emqx_omp_frames:encode({hello, Index, Number, Instance, Nonce, Node, Emqx, Plugin})
    ),
    write([with_length(Hello)], State),
    {Challenge, {challenge, 1, _, _}} = expect(challenge, Deadline, State),
    Proof = emqx_omp_frames:encode({proof, emqx_omp_frames:prove({node, [Hello, Challenge]}, Secret())}),
    write([with_length(Proof)], State),
    {_, {welcome, Proven, Longest, Publishes, Bytes, Heartbeat, _}} = expect(welcome, Deadline, State),
    crypto:hash_equals(Proven, emqx_omp_frames:prove({engine, [Hello, Challenge, Proof]}, Secret())) orelse
        throw({secret, "it has another secret"}),
    Longest >= ?START_LONGEST andalso Publishes > 0 andalso Bytes > 0 andalso Heartbeat > 0 orelse
        throw({protocol, "WELCOME: a limit that is too low"}),
    State#state{longest = Longest, window = {Publishes, Bytes}, heartbeat = Heartbeat}.

expect(Name, Deadline, State) ->
    Bytes = read_frame(Deadline, State),
    case emqx_omp_frames:decode(Bytes) of
        {ok, {refuse, 2, _}} -> throw({secret, "it has another secret"});
        {ok, {refuse, _, Text}} -> throw({refused, ["it refuses the link: ", Text]});
        {ok, {challenge, Version, _, _}} when Version =/= 1 -> throw({protocol, "CHALLENGE: another version than 1"});
        {ok, Frame} when element(1, Frame) =:= Name -> {Bytes, Frame};
        {ok, _} -> throw({protocol, [emqx_omp_frames:name(binary:first(Bytes)), " comes before its time"]});
        {error, Text} -> throw({protocol, Text})
    end.

read_frame(Deadline, State) ->
    case read(4, Deadline, State) of
        <<Length:32>> when Length > 0, Length =< ?START_LONGEST -> read(Length, Deadline, State);
        <<Length:32>> -> throw({protocol, wrong_length(Length, ?START_LONGEST)})
    end.

read(Length, Deadline, #state{transport = Transport, socket = Socket}) ->
    case Transport:recv(Socket, Length, max(0, Deadline - now_ms())) of
        {ok, Bytes} -> Bytes;
        {error, timeout} -> throw({unreachable, "it does not answer"});
        {error, closed} -> throw({unreachable, "it closes the connection"});
        {error, Reason} -> throw({unreachable, ["the connection is broken: ", problem(Reason)]})
    end.

wrong_length(0, _) -> "a frame of 0 bytes";
wrong_length(Length, Longest) -> io_lib:format("a frame of ~b bytes, more than ~b", [Length, Longest]).

%% In words, from what the sockets say.
problem({tls_alert, {_, Text}}) -> Text;
problem({options, Option}) -> io_lib:format("ssl: ~0p", [Option]);
problem(Reason) when is_atom(Reason) -> inet:format_error(Reason);
problem(Reason) -> io_lib:format("~0p", [Reason]).

%%% Reading

read_on(#state{transport = gen_tcp, socket = Socket} = State) -> read_on(inet:setopts(Socket, [{active, once}]), State);
read_on(#state{transport = ssl, socket = Socket} = State) -> read_on(ssl:setopts(Socket, [{active, once}]), State).

read_on(ok, State) -> {noreply, State, 0};
read_on({error, Reason}, _) -> throw({closed, ["the connection to the engine is broken: ", problem(Reason)]}).

received(Data, #state{buffer = <<>>} = State) -> frames(Data, State);
received(Data, #state{buffer = Buffer} = State) -> frames(<<Buffer/binary, Data/binary>>, State).

frames(<<Length:32, _/binary>>, #state{longest = Longest}) when Length =:= 0; Length > Longest ->
    throw({protocol, wrong_length(Length, Longest)});
frames(<<Length:32, Bytes:Length/binary, Rest/binary>>, State) ->
    case emqx_omp_frames:decode(Bytes) of
        {ok, Frame} -> frames(Rest, frame(Frame, Bytes, State));
        {error, Text} -> throw({protocol, Text})
    end;
frames(Rest, State) ->
    %% A copy, if it is a small part of a large read; what grows by and by stays where it is.
    State#state{buffer = Rest}.

frame(pong, _, State) ->
    State;
frame(Frame, Bytes, #state{options = #{link := Link, index := Index}} = State) when
    element(1, Frame) =:= configured;
    element(1, Frame) =:= settings;
    element(1, Frame) =:= health;
    element(1, Frame) =:= goodbye
->
    Link ! {engine, Index, Frame, Bytes},
    State;
frame({answers, Answers}, _, #state{is_up = true} = State) ->
    send_publishes(lists:foldl(fun answer/2, State, Answers));
frame({deliver, Session, Filter, MaybeRetained, #{id := Id, topic := Topic} = Message}, _, #state{is_up = true} = State) ->
    case emqx_omp_client:deliver(Session, Filter, MaybeRetained, Message) of
        ok -> State;
        {dropped, Reason} -> append(emqx_omp_frames:encode({dropped, Session, Reason, Id, Topic}), State)
    end;
frame({live, Session, Filter, Gate, Number}, _, #state{is_up = true} = State) ->
    emqx_omp_client:live(Session, Filter, Gate, Number),
    State;
frame({restore, Session, Subscription}, _, #state{is_up = true} = State) ->
    emqx_omp_client:ask(Session, {restore, Subscription}),
    State;
frame({release, Session}, _, #state{is_up = true} = State) ->
    emqx_omp_client:ask(Session, release),
    State;
frame(_, <<Opcode, _/binary>>, _) ->
    throw({protocol, [emqx_omp_frames:name(Opcode), " comes before its time"]}).

%%% Publishes

enqueue(Ticket, {Pid, Frame, Bytes, Names}, #state{queue = Queue} = State) ->
    send_publishes(State#state{queue = queue:in({Ticket, Pid, Frame, Bytes, Names}, Queue)}).

%% As many as the window has room for.
send_publishes(#state{queue = Queue, pending = Pending, pending_bytes = PendingBytes, window = {Most, MostBytes}} = State) ->
    case queue:peek(Queue) of
        {value, _} when map_size(Pending) < Most, PendingBytes < MostBytes ->
            {{value, Publish}, Rest} = queue:out(Queue),
            send_publishes(send_publish(Publish, State#state{queue = Rest}));
        _ ->
            State
    end.

send_publish({Alias, _, Frame, Bytes, _} = Publish, #state{waiting = Waiting, request = Request} = State) ->
    case Waiting of
        #{Alias := late} ->
            settled(Bytes, State#state{waiting = maps:remove(Alias, Waiting)});
        _ ->
            [<<Opcode, _:32, Flags>> | Message] = Frame,
            #state{pending = Pending, pending_bytes = PendingBytes} = State,
            append([<<Opcode, Request:32, Flags>> | Message], State#state{
                request = (Request + 1) band 16#ffffffff,
                pending = Pending#{Request => Publish},
                pending_bytes = PendingBytes + Bytes
            })
    end.

settled(Bytes, #state{load = Load} = State) ->
    counters:sub(Load, ?PUBLISHES, Bytes),
    counters:sub(Load, ?UNANSWERED, 1),
    State.

answer({Request, Answer}, #state{pending = Pending, pending_bytes = PendingBytes, answered = Answered} = State0) ->
    case maps:take(Request, Pending) of
        {{Alias, Pid, _, Bytes, Names}, Rest} ->
            {How, Waiting} = maps:take(Alias, State0#state.waiting),
            State = settled(Bytes, State0#state{
                pending = Rest, pending_bytes = PendingBytes - Bytes, waiting = Waiting, answered = Answered + 1
            }),
            tell(How, Alias, Pid, Answer, Names, State);
        error ->
            throw({protocol, "ANSWERS: a request that was not made"})
    end.

%% Whoever waits, or has asked and does not wait.
tell(late, _, _, {stored, _, _}, Names, State) ->
    not_routed(Names, State);
tell(late, _, _, _, _, State) ->
    State;
tell(late_async, _, _, _, _, State) ->
    State;
tell(async, Ticket, _, Answer, _, State) ->
    answer_async(Ticket, Answer, State);
tell(waiting, Alias, Pid, Answer, Names, State) ->
    Alias ! {Alias, Answer},
    %% A client that was ended while it waited has not routed it.
    case Answer of
        {stored, _, _} ->
            case is_process_alive(Pid) of
                true -> State;
                false -> not_routed(Names, State)
            end;
        _ ->
            State
    end.

answer_async(Ticket, Answer, #state{early = Early} = State) ->
    case take_puback(Ticket, Answer) of
        true -> State;
        false -> State#state{early = Early#{Ticket => Answer}}
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

%% Asynchronous publishes whose time is up; those that were answered are forgotten here, too, should no message.puback have come.
look(#state{deadlines = Deadlines} = State0) ->
    Now = now_ms(),
    case queue:peek(Deadlines) of
        {value, {Until, Ticket}} when Until =< Now ->
            State = State0#state{deadlines = queue:drop(Deadlines), early = maps:remove(Ticket, State0#state.early)},
            case State#state.waiting of
                %% It is routed: an answer that comes later changes nothing.
                #{Ticket := async} = Waiting -> look(answer_async(Ticket, unreachable, State#state{waiting = Waiting#{Ticket := late_async}}));
                _ -> look(State)
            end;
        {value, _} ->
            erlang:send_after(?LOOK, self(), look),
            State0;
        empty ->
            State0
    end.

not_routed({Id, Topic}, State) -> append(emqx_omp_frames:encode({not_routed, Id, Topic}), State).

%%% Writing

with_length(Frame) -> [<<(iolist_size(Frame)):32>>, Frame].

append(Frame, #state{out = Out, out_bytes = Bytes} = State) ->
    State#state{out = [with_length(Frame) | Out], out_bytes = Bytes + iolist_size(Frame) + 4}.

%% On to the next message, or, where there is none, to the writing.
gathered(#state{out_bytes = Bytes} = State) when Bytes > ?GATHERED -> guarded(State, fun() -> {noreply, flush(State)} end);
gathered(#state{out = []} = State) -> {noreply, State};
gathered(State) -> {noreply, State, 0}.

flush(#state{out = []} = State) ->
    State;
flush(#state{out = Out, out_load = {Frames, Bytes}, load = Load} = State) ->
    write(lists:reverse(Out), State),
    counters:sub(Load, ?FRAMES, Frames),
    counters:sub(Load, ?BYTES, Bytes),
    State#state{out = [], out_bytes = 0, out_load = {0, 0}}.

write(Frames, #state{transport = Transport, socket = Socket}) ->
    case Transport:send(Socket, Frames) of
        ok -> ok;
        {error, timeout} -> throw({hung, "the engine has not read for 5 s"});
        {error, Reason} -> throw({closed, ["the connection to the engine is broken: ", problem(Reason)]})
    end.
