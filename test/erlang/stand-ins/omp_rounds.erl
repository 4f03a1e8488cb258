%% Tells a test whether anything is under way in the node: by round trips behind all else, and what came of it.
-module(omp_rounds).

-export([round/0, look/0, together/1, clear/0]).

%% The engine passes it on, whatever it is configured to store, and says so.
-define(ASKED, #{
    id => <<0:128>>,
    timestamp => 0,
    qos => 1,
    retain => false,
    from => <<"nobody">>,
    topic => <<"$SYS/asked">>,
    payload => <<>>,
    properties => #{}
}).
%% ANSWERS with one `pass`, and the lengths in front of both frames.
-define(ANSWER, 10).
-define(LENGTHS, 8).

%% A round trip over each connection to the engine and back, then through all processes that what came with it went to.
%% JSON: [bytes that went over the link so far, how many of these are this round's own, messages that clients were ever
%% sent, hooks that crashed, clients as look/0 has them].
round() ->
    Own = lists:sum([ask_engine(Index) || Index <- lists:seq(0, length(connections()) - 1)]),
    _ = sys:get_state(emqx_omp_sessions),
    Clients = clients(),
    emqx_utils_json:encode([bytes(), Own, ets:info(omp_seen, size), emqx_hooks:crashes(), Clients]).

%% What clients have, once all that was routed to them has come. JSON: of each its id, how many messages it has in
%% flight, and what it was sent.
look() -> emqx_utils_json:encode(clients()).

%% Does all of it before the engine is told anything of it, which then is told of each client at once.
together(Works) ->
    Connections = connections(),
    [erlang:suspend_process(Pid) || Pid <- Connections],
    try
        [Work() || Work <- Works]
    after
        [erlang:resume_process(Pid) || Pid <- Connections]
    end.

%% Of what a test did nothing is left. The application is stopped.
clear() ->
    [end_client(Pid) || Id <- emqx_cm:all_client_ids(), Pid <- emqx_cm:lookup_channels(Id)],
    Tables = [omp_seen, emqx_cm, emqx_retainer, emqx_subscriber, emqx_suboption, emqx_route],
    [ets:delete_all_objects(Table) || Table <- Tables],
    ets:delete(emqx_hooks, crashes),
    ok.

end_client(Pid) ->
    Monitor = monitor(process, Pid),
    exit(Pid, kill),
    receive
        {'DOWN', Monitor, process, _, _} -> ok
    end.

connections() -> [element(2, Row) || Row <- ets:tab2list(emqx_omp_connections)].

%% Returns the bytes that this takes.
ask_engine(Index) ->
    pass = emqx_omp_publishes:publish(client_on(Index), ?ASKED, 5000),
    iolist_size(emqx_omp_frames:encode({publish, 0, false, ?ASKED})) + ?ANSWER + ?LENGTHS.

%% A client id whose frames go over this connection.
client_on(Index) -> client_on(Index, 0).

client_on(Index, N) ->
    Id = integer_to_binary(N),
    case erlang:phash2(Id, length(connections())) of
        Index -> Id;
        _ -> client_on(Index, N + 1)
    end.

%% Gates first: they pass on to clients.
clients() ->
    [through_gate(Gate) || {_, Gate, _, _} <- supervisor:which_children(emqx_omp_gates)],
    [[Id | tuple_to_list(omp_client:look(Id))] || Id <- emqx_cm:all_client_ids()].

%% It may end meanwhile.
through_gate(Gate) ->
    try
        sys:get_state(Gate)
    catch
        exit:_ -> ended
    end.

bytes() ->
    Links = [process_info(Pid, links) || Pid <- connections()],
    Sockets = [Link || {links, Of} <- Links, Link <- Of, is_port(Link)],
    Statistics = [inet:getstat(Socket, [recv_oct, send_oct]) || Socket <- Sockets],
    lists:sum([Bytes || {ok, Options} <- Statistics, {_, Bytes} <- Options]).
