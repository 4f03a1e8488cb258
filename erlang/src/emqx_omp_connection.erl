%% One connection of the link: reads, writes, and sees to it that both are bounded.
%%
%% A process of the link, which it ends with, for whatever reason. The functions above "The process" run in the
%% processes that call them, mostly those of clients. A row of the table `emqx_omp_connections` says that the connection
%% is up:
%%
%%   {Index, Pid, Load, {PublishLoad, Longest, Window}, Since}
%%
%% Load: counters of frames and bytes that others have given to the process and it has not written yet, and whether all
%% sessions are told again. PublishLoad: those of emqx_omp_publishes. Since: ms of the monotonic clock.
-module(emqx_omp_connection).
-behaviour(gen_server).

-export([create_table/0, send/2, send_connected/3, publishing/1, is_new/1, start_link/1, give/2, up/1, down/2]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, format_status/1]).

-define(TABLE, emqx_omp_connections).

%% What is not yet written: more, and the link is closed.
-define(MAX_FRAMES, 100000).
-define(MAX_BYTES, 16#4000000).
%% What is gathered before it is written, even if there is more to do.
-define(GATHERED, 65536).
%% Sessions that are told again at a time, before others have their turn.
-define(TOLD_AT_ONCE, 100).

%% The counters of Load.
-define(FRAMES, 1).
-define(BYTES, 2).
%% 1: all sessions are told again.
-define(HAS_TOLD, 3).

-record(state, {
    options :: map(),
    transport :: gen_tcp | ssl | undefined,
    socket :: gen_tcp:socket() | ssl:sslsocket() | undefined,
    load :: counters:counters_ref(),
    is_up = false :: boolean(),
    longest = 0 :: non_neg_integer(),
    heartbeat = 0 :: non_neg_integer(),
    heard = 0 :: integer(),
    %% Read, and not yet a frame.
    buffer = <<>> :: binary(),
    %% To be written: frames with their lengths, newest first, their bytes, and what of both is counted in Load.
    out = [] :: [iodata()],
    out_bytes = 0 :: non_neg_integer(),
    out_load = {0, 0} :: {non_neg_integer(), non_neg_integer()},
    publishes :: undefined | emqx_omp_publishes:publishes(),
    %% What others know of it once it is up.
    publishing :: undefined | {counters:counters_ref(), pos_integer(), pos_integer()}
}).

create_table() ->
    ?TABLE = ets:new(?TABLE, [named_table, public, {read_concurrency, true}]),
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
        {_, _, _, _, Since} -> now_ms() - Since < Ms;
        down -> true
    end.

%% What emqx_omp_publishes needs to publish something of the client: {Index, Pid, Load, Longest, Window}.
publishing(ClientId) ->
    case row(ClientId) of
        {Index, Pid, _, {Load, Longest, Window}, _} -> {Index, Pid, Load, Longest, Window};
        down -> down
    end.

%% Sends a frame about the client, or nothing where the link is not up: then all is told again. While it is, it may come
%% before CONNECTED, and be of no use.
-spec send(binary(), emqx_omp_frames:frame()) -> ok.
send(ClientId, Frame) ->
    case row(ClientId) of
        {Index, Pid, Load, _, _} ->
            counters:get(Load, ?HAS_TOLD) =:= 0 andalso emqx_omp_sessions:untold(Frame),
            give(Index, Pid, Load, emqx_omp_frames:encode(Frame));
        down ->
            emqx_omp_sessions:untold(Frame)
    end.

%% CONNECTED of a session, whose client that is.
-spec send_connected(binary(), pos_integer(), boolean()) -> ok.
send_connected(ClientId, Session, Again) ->
    case row(ClientId) of
        {Index, Pid, Load, {_, Longest, _}, _} ->
            [give(Index, Pid, Load, Frame) || Frame <- connected(Session, Again, Longest)],
            ok;
        down ->
            ok
    end.

%% What is too long for one frame: the subscriptions one by one, and without what is unacknowledged if need be.
connected(Session, Again, Longest) ->
    case emqx_omp_sessions:connected(Session, Again) of
        {ok, {connected, _, _, _, _, _, _, _, Subscriptions, _} = Frame} ->
            Short = setelement(9, Frame, []),
            One = fun({Gate, Subscription}) -> {subscribed, Session, false, Gate, Subscription} end,
            case [is_short(F, Longest) || F <- [Frame, Short]] of
                [true, _] -> [emqx_omp_frames:encode(Frame)];
                [_, true] -> [emqx_omp_frames:encode(F) || F <- [Short | lists:map(One, Subscriptions)]];
                _ -> [emqx_omp_frames:encode(F) || F <- [setelement(10, Short, []) | lists:map(One, Subscriptions)]]
            end;
        none ->
            []
    end.

is_short(Frame, Longest) -> iolist_size(emqx_omp_frames:encode(Frame)) =< Longest.

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

%%% The process

%% Options: index and number (of connections), host, port, tls (its options, or false), secret (a function), instance,
%% node, emqx, plugin (as HELLO has them), link (a process, which is told `{welcomed, Pid, Index}` and `{engine, Pid,
%% Index, Frame, Bytes}`).
start_link(Options) -> gen_server:start_link(?MODULE, Options, []).

%% A frame about no client, from the link itself.
give(Pid, Frame) -> gen_server:cast(Pid, {give, Frame}).

%% From now on there are frames about clients; those who are there are told again.
up(Pid) -> gen_server:cast(Pid, up).

%% No frames for it any more.
down(Index, Pid) ->
    ets:match_delete(?TABLE, {Index, Pid, '_', '_', '_'}),
    ok.

init(Options) ->
    %% What is in its mailbox and its state is in no report of a crash: the configuration goes through here.
    process_flag(sensitive, true),
    {ok, #state{options = Options, load = counters:new(3, [atomics])}, {continue, start}}.

handle_continue(start, #state{options = #{link := Link, index := Index}} = State0) ->
    guarded(State0, fun() ->
        {Transport, Socket, Terms} = emqx_omp_handshake:open(State0#state.options),
        #{longest := Longest, heartbeat := Heartbeat, window := {Most, _} = Window} = Terms,
        PublishLoad = counters:new(2, [atomics]),
        Link ! {welcomed, self(), Index},
        erlang:send_after(Heartbeat, self(), heartbeat),
        read_on(State0#state{
            transport = Transport,
            socket = Socket,
            longest = Longest,
            heartbeat = Heartbeat,
            heard = now_ms(),
            publishes = emqx_omp_publishes:new(Window, PublishLoad),
            publishing = {PublishLoad, Longest, Most}
        })
    end).

handle_call(_, _, State) ->
    {noreply, State}.

handle_cast({give, Frame}, State) ->
    gathered(append(emqx_omp_frames:encode(Frame), State));
handle_cast(up, #state{options = #{index := Index, number := Number}, load = Load, publishing = Publishing} = State) ->
    %% First the row: who comes from here on is told by its own hook.
    ets:insert(?TABLE, {Index, self(), Load, Publishing, now_ms()}),
    Sessions = [Session || {Session, ClientId} <- emqx_omp_sessions:all(), erlang:phash2(ClientId, Number) =:= Index],
    self() ! {tell_again, Sessions},
    gathered(State#state{is_up = true}).

%% gen_server says `timeout` as soon as the mailbox is empty: then what was gathered meanwhile is written at once.
handle_info(timeout, State) ->
    guarded(State, fun() -> {noreply, flush(State)} end);
handle_info({frame, Frame, Bytes}, #state{out_load = {Frames, OfBytes}} = State) ->
    gathered(append(Frame, State#state{out_load = {Frames + 1, OfBytes + Bytes}}));
handle_info({publishes, Event}, #state{publishes = Publishes} = State) ->
    gathered(with_publishes(emqx_omp_publishes:handle(Event, Publishes), State));
handle_info({tell_again, Sessions}, #state{load = Load} = State) ->
    {Now, Later} = lists:split(min(?TOLD_AT_ONCE, length(Sessions)), Sessions),
    case Later of
        [] -> counters:put(Load, ?HAS_TOLD, 1);
        _ -> self() ! {tell_again, Later}
    end,
    gathered(append_all(lists:append([told_again(Session, State) || Session <- Now]), State));
handle_info(heartbeat, #state{heartbeat = Heartbeat, heard = Heard, publishes = Publishes} = State) ->
    erlang:send_after(Heartbeat, self(), heartbeat),
    case now_ms() - Heard > 3 * Heartbeat of
        true -> stop({hung, io_lib:format("the engine has been silent for ~b ms", [3 * Heartbeat])}, State);
        false -> gathered(append(emqx_omp_frames:encode({ping, emqx_omp_publishes:answered(Publishes)}), State))
    end;
handle_info({Kind, Socket, Data}, #state{socket = Socket} = State) when Kind =:= tcp; Kind =:= ssl ->
    guarded(State, fun() ->
        {noreply, S, 0} = read_on(received(Data, State#state{heard = now_ms()})),
        gathered(S)
    end);
handle_info({Kind, Socket}, #state{socket = Socket} = State) when Kind =:= tcp_closed; Kind =:= ssl_closed ->
    stop({closed, "the engine has closed the connection"}, State);
handle_info({Kind, Socket, Reason}, #state{socket = Socket} = State) when Kind =:= tcp_error; Kind =:= ssl_error ->
    stop({closed, broken(Reason)}, State);
handle_info(_, State) ->
    gathered(State).

%% One session does not keep the link down for all others.
told_again(Session, #state{longest = Longest}) ->
    try
        connected(Session, true, Longest) ++
            [emqx_omp_frames:encode(Frame) || Frame <- emqx_omp_sessions:take_untold(Session)]
    catch
        Class:Reason:Stack ->
            emqx_omp_log:failed('telling a session again', Class, Reason, Stack),
            []
    end.

%% Nothing of the state: payloads, and the configuration on its way.
format_status(Status) ->
    maps:map(fun(_, _) -> hidden end, Status).

stop({Kind, Text}, State) ->
    {stop, {shutdown, {Kind, unicode:characters_to_binary(Text)}}, State}.

broken(Reason) -> ["the connection to the engine is broken: ", emqx_omp_handshake:problem(Reason)].

%% Runs what may throw why the connection ends.
guarded(State, Work) ->
    try
        Work()
    catch
        throw:{Kind, Text} -> stop({Kind, Text}, State)
    end.

now_ms() -> erlang:monotonic_time(millisecond).

%%% Reading

read_on(#state{transport = gen_tcp, socket = Socket} = State) -> read_on(inet:setopts(Socket, [{active, once}]), State);
read_on(#state{transport = ssl, socket = Socket} = State) -> read_on(ssl:setopts(Socket, [{active, once}]), State).

read_on(ok, State) -> {noreply, State, 0};
read_on({error, Reason}, _) -> throw({closed, broken(Reason)}).

received(Data, #state{buffer = <<>>} = State) -> frames(Data, State);
received(Data, #state{buffer = Buffer} = State) -> frames(<<Buffer/binary, Data/binary>>, State).

frames(<<Length:32, _/binary>>, #state{longest = Longest}) when Length =:= 0; Length > Longest ->
    throw({protocol, emqx_omp_handshake:wrong_length(Length, Longest)});
frames(<<Length:32, Bytes:Length/binary, Rest/binary>>, State) ->
    case emqx_omp_frames:decode(Bytes) of
        {ok, Frame} -> frames(Rest, frame(Frame, Bytes, State));
        {error, Text} -> throw({protocol, Text})
    end;
frames(Rest, State) ->
    State#state{buffer = Rest}.

frame(pong, _, State) ->
    State;
frame(Frame, Bytes, #state{options = #{link := Link, index := Index}} = State) when
    element(1, Frame) =:= configured;
    element(1, Frame) =:= settings;
    element(1, Frame) =:= health;
    element(1, Frame) =:= goodbye
->
    Link ! {engine, self(), Index, Frame, Bytes},
    State;
frame({answers, Answers}, _, #state{is_up = true, publishes = Publishes} = State) ->
    with_publishes(emqx_omp_publishes:answers(Answers, Publishes), State);
frame({deliver, Session, Filter, MaybeRetained, Message}, _, #state{is_up = true} = State) ->
    case emqx_omp_client:deliver(Session, Filter, MaybeRetained, Message) of
        ok ->
            State;
        {dropped, Reason} ->
            #{id := Id, topic := Topic} = Message,
            append(emqx_omp_frames:encode({dropped, Session, Reason, Id, Topic}), State)
    end;
frame({live, Session, Filter, Gate, Number}, _, #state{is_up = true} = State) ->
    emqx_omp_client:live(Session, Filter, Gate, Number),
    State;
frame({restore, Session, Subscription}, _, #state{is_up = true} = State) ->
    emqx_omp_client:ask(Session, {restore, Subscription}),
    State;
frame({check, Session, IsPassed, Ids}, _, #state{is_up = true} = State) ->
    emqx_omp_client:ask(Session, {check, Session, IsPassed, Ids}),
    State;
frame({release, Session, Number}, _, #state{is_up = true} = State) ->
    emqx_omp_client:ask(Session, {release, Number}),
    State;
frame(_, <<Opcode, _/binary>>, _) ->
    throw({protocol, [emqx_omp_frames:name(Opcode), " comes before its time"]}).

%%% Writing

with_publishes({Frames, Publishes}, State) -> append_all(Frames, State#state{publishes = Publishes}).

append_all(Frames, State) -> lists:foldl(fun append/2, State, Frames).

with_length(Frame) -> [<<(iolist_size(Frame)):32>>, Frame].

append(Frame, #state{out = Out, out_bytes = Bytes} = State) ->
    State#state{out = [with_length(Frame) | Out], out_bytes = Bytes + iolist_size(Frame) + 4}.

%% On to the next message, or, where there is none, to the writing.
gathered(#state{out_bytes = Bytes} = State) when Bytes > ?GATHERED ->
    guarded(State, fun() -> {noreply, flush(State)} end);
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
        {error, Reason} -> throw({closed, broken(Reason)})
    end.
