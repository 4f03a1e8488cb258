%% What is done to a client at the engine's wish: deliveries, and what only the client's own process can do.
%%
%% A client's process is EMQX's, and runs our hooks and nothing else of ours. `{timeout, Ref, Term}`, sent to it,
%% reaches the hook client.timeout there: that is how it is asked to do something (ask/2), and done/1 does it. What it
%% remembers of itself is in its process dictionary: `omp_session` (its number), `omp_client_info`, `omp_released` (the
%% engine has known that it is away since it gave this number to a message).
-module(emqx_omp_client).

-include("emqx_omp_session.hrl").

-export([deliver/4, dropped/4, live/4, ask/2, ask_process/2, adopt_all/0, open_gates/1]).
-export([done/1, start_session/3, is_told_of/1, outlives/1]).

%% Gives a stored message to the session, which keeps QoS, window and queue.
-spec deliver(pos_integer(), binary(), boolean(), emqx_omp_frames:message()) -> ok | {dropped, away | no_session}.
deliver(Session, Filter, MaybeRetained, #{id := Id, topic := Topic} = Message) ->
    case {emqx_omp_sessions:find(Session), emqx_omp_sessions:subscription(Session, Filter)} of
        {#session{is_away = true}, _} ->
            {dropped, away};
        {#session{pid = Pid}, {_, _}} ->
            %% The retained copy is on its way, has the same id and mark, and its acknowledgement is the one.
            case MaybeRetained andalso emqx_omp_emqx:retained_id(Topic) =:= Id of
                true -> ok;
                false -> Pid ! {deliver, emqx_omp_emqx:topic(Filter), emqx_omp_emqx:message(Message, {replayed, 0})}
            end,
            ok;
        _ ->
            {dropped, no_session}
    end.

%% The subscription has caught up.
live(Session, Filter, Number, UpTo) ->
    case emqx_omp_sessions:find(Session) of
        #session{gate = Gate} when is_pid(Gate) -> emqx_omp_gate:live(Gate, Filter, Number, UpTo);
        _ -> ok
    end.

%% The session will not send the message.
dropped(Session, ClientId, Reason, Message) ->
    Frame = {dropped, Session, Reason, emqx_omp_emqx:id(Message), emqx_omp_emqx:topic_of(Message)},
    emqx_omp_connection:send(ClientId, Frame).

%% Has the process of the session do something; nothing where there is none any more.
ask(Session, Request) ->
    case emqx_omp_sessions:find(Session) of
        #session{pid = Pid} -> ask_process(Pid, Request);
        none -> ok
    end.

ask_process(Pid, Request) ->
    Pid ! {timeout, make_ref(), {omp, Request}},
    ok.

%% Clients that are there before the plugin.
adopt_all() ->
    [ask_process(Pid, {adopt, Id}) || Id <- emqx_omp_emqx:clients(), Pid <- emqx_omp_emqx:channels_here(Id)],
    ok.

%% Every client takes its subscriptions back from its gate; waits until they have, or until the deadline.
open_gates(Deadline) ->
    [ask(Session, open_all) || {Session, _} <- emqx_omp_sessions:all()],
    await_gates(Deadline).

await_gates(Deadline) ->
    case emqx_omp_sessions:gates() > 0 andalso erlang:monotonic_time(millisecond) < Deadline of
        true ->
            timer:sleep(10),
            await_gates(Deadline);
        false ->
            ok
    end.

%%% In the client's process

done({release, Number}) ->
    _ = put(omp_released, Number),
    emqx_omp_held:released(Number);
done({check, Session, IsPassed, Ids}) ->
    Lost =
        case emqx_omp_sessions:held(Session) of
            Held when IsPassed; Held =:= [] -> lost(Ids -- [Id || {Id, _} <- Held]);
            %% They may wait in the session's queue, behind these.
            _ -> []
        end,
    #{clientid := ClientId} = get(omp_client_info),
    emqx_omp_connection:send(ClientId, {lost, Session, Lost});
done({open, Topic, Number}) ->
    emqx_omp_held:open(Topic, Number);
done({late, Topic, UpTo, Message}) ->
    emqx_omp_held:late(Topic, UpTo, Message);
done(open_all) ->
    emqx_omp_held:open_all();
done({gate_down, Gate}) ->
    emqx_omp_held:failed(Gate);
done({restore, #{filter := Filter} = Subscription}) ->
    case is_integer(get(omp_session)) andalso emqx_omp_sessions:subscription(get(omp_session), Filter) of
        none -> restore(emqx_omp_emqx:unmounted(get(omp_client_info), Subscription));
        _ -> ok
    end;
done({adopt, ClientId}) ->
    %% It may have a number from before the plugin was stopped.
    IsKnown = is_integer(get(omp_session)) andalso emqx_omp_sessions:find(get(omp_session)) =/= none,
    case not IsKnown andalso is_told_of(ClientId) andalso emqx_omp_emqx:client_info(ClientId, self()) of
        #{clientinfo := #{protocol := mqtt} = ClientInfo, conninfo := ConnInfo} = Info ->
            emqx_omp_held:open_all(),
            Session = start_session(ClientInfo, ConnInfo, true),
            Subscriptions = emqx_omp_emqx:subscriptions(Info),
            [emqx_omp_sessions:subscribe(Session, 0, Subscription) || {_, Subscription} <- Subscriptions],
            IsConnected = maps:get(conn_state, Info, connected) =:= connected,
            IsConnected orelse emqx_omp_sessions:away(Session),
            IsConnected orelse emqx_omp_held:away(Session),
            emqx_omp_connection:send_connected(ClientId, Session, true);
        _ ->
            ok
    end.

%% Without what is on its way to this process.
lost([]) -> [];
lost(Ids) -> Ids -- emqx_omp_held:on_their_way().

restore(denied) -> ok;
restore(Topic) ->
    self() ! {subscribe, [Topic]},
    ok.

%% EMQX may let a client id through that is no text of MQTT: its client is EMQX's alone.
is_told_of(ClientId) ->
    Warning = "Nothing is stored for a client: its client id is no UTF-8",
    emqx_omp_emqx:is_utf8(ClientId) orelse emqx_omp_log:log(warning, Warning),
    emqx_omp_emqx:is_utf8(ClientId).

%% Gives this process a number and a row.
-spec start_session(map(), map(), boolean()) -> pos_integer().
start_session(#{clientid := ClientId} = ClientInfo, ConnInfo, IsResumed) ->
    Session = erlang:unique_integer([positive, monotonic]),
    put(omp_session, Session),
    put(omp_client_info, ClientInfo),
    _ = erase(omp_resumed),
    Row = #session{
        number = Session,
        pid = self(),
        client_id = ClientId,
        is_resumed = IsResumed,
        is_assigned = maps:get(clientid, ConnInfo, ClientId) =:= <<>>,
        outlives = outlives(ConnInfo),
        version = maps:get(proto_ver, ConnInfo, 4),
        receive_maximum = maps:get(receive_maximum, ConnInfo, 65535),
        maximum_packet = maximum_packet(ConnInfo),
        at = maps:get(connected_at, ConnInfo, 0)
    },
    ok = emqx_omp_sessions:add(Row),
    Session.

outlives(ConnInfo) -> maps:get(expiry_interval, ConnInfo, 0) > 0.

maximum_packet(#{conn_props := #{'Maximum-Packet-Size' := Bytes}}) -> Bytes;
maximum_packet(_) -> 0.
