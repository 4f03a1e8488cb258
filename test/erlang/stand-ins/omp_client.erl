%% A scripted MQTT client in EMQX: one process, as EMQX's connection with its session, with window, queue and mailbox
%% limits.
%%
%% It runs the hooks with the arguments of the release that is played, and notes what its MQTT client would see.
-module(omp_client).

-export([connect/2, disconnect/1, stop/2, subscribe/3, unsubscribe/2, publish/4, publish/5, seen/1, acknowledge/1]).
-export([start/0, kill/1, info_of_self/0, wait_for/2, held/1, everything/1, acknowledge/2, look/1]).

%% More in the mailbox, and EMQX kills the client.
-define(MAILBOX, 1000).

-record(client, {
    info :: map(),
    conninfo :: map(),
    is_connected = true,
    subscriptions = #{},
    inflight = [] :: [{integer(), term()}],
    queue = [] :: [term()],
    queue_limit = 1000,
    packet_id = 1,
    acknowledges = true,
    seen = [] :: [term()],
    held = #{},
    %% Another process takes the session over: what comes meanwhile.
    is_taken_over = false,
    pendings = []
}).

%% What clients have seen outlives their processes.
start() ->
    ets:new(omp_seen, [named_table, public, ordered_set]),
    ok.

%% Payloads that a client of this name was ever sent, oldest first.
everything(ClientId) -> [Payload || {{Id, _}, Payload} <- ets:tab2list(omp_seen), Id =:= ClientId].

%% Options: version, clean_start, expiry_interval (s), receive_maximum, acknowledges (at once), mountpoint, mqueue_len.
%% Returns whether a session was there.
connect(ClientId, Options) ->
    Self = self(),
    Pid = spawn(fun() -> start(Self, ClientId, Options) end),
    receive
        {Pid, IsPresent} -> IsPresent
    end.

disconnect(ClientId) -> call(ClientId, disconnect).
stop(ClientId, Reason) -> call(ClientId, {stop, Reason}).
subscribe(ClientId, Topic, Options) -> call(ClientId, {subscribe, Topic, Options}).
unsubscribe(ClientId, Topic) -> call(ClientId, {unsubscribe, Topic}).
publish(ClientId, Topic, QoS, Payload) -> publish(ClientId, Topic, QoS, Payload, #{}).
%% What the publisher sees: {puback, Code}, {pubrec, Code}, ok (QoS 0), held, disconnected.
publish(ClientId, Topic, QoS, Payload, Options) -> call(ClientId, {publish, Topic, QoS, Payload, Options}).
%% What it was sent, oldest first: {Topic, QoS, Payload, Flags}
seen(ClientId) -> call(ClientId, seen).
%% Acknowledges all that it was sent, from now on at once.
acknowledge(ClientId) -> call(ClientId, acknowledge).
%% Acknowledges the oldest, as many as it has in flight at most.
acknowledge(ClientId, Count) -> call(ClientId, {acknowledge, Count}).
%% How many it has in flight, and what it was sent, oldest first: [Id, Topic, QoS, Payload, is RETAIN set?]
look(ClientId) -> call(ClientId, look).
held(ClientId) -> call(ClientId, held).
kill(ClientId) -> exit(pid(ClientId), kill).

wait_for(ClientId, Count) ->
    case length(seen(ClientId)) >= Count of
        true ->
            seen(ClientId);
        false ->
            timer:sleep(5),
            wait_for(ClientId, Count)
    end.

pid(ClientId) -> lists:last(emqx_cm:lookup_channels(global, ClientId)).
call(ClientId, Request) -> ask(pid(ClientId), Request).

ask(Pid, Request) ->
    Monitor = monitor(process, Pid),
    Pid ! {call, self(), Monitor, Request},
    receive
        {Monitor, Answer} ->
            demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, Reason} ->
            {ended, Reason}
    end.

start(Caller, ClientId, Options) ->
    Version = maps:get(version, Options, 5),
    Clean = maps:get(clean_start, Options, true),
    Info = #{
        clientid => case ClientId of <<>> -> <<"made-up">>; _ -> ClientId end,
        username => undefined,
        protocol => maps:get(protocol, Options, mqtt),
        mountpoint => maps:get(mountpoint, Options, undefined),
        peerhost => {127, 0, 0, 1},
        zone => default
    },
    ConnInfo = #{
        clientid => ClientId,
        proto_name => <<"MQTT">>,
        proto_ver => Version,
        clean_start => Clean,
        expiry_interval => 1000 * maps:get(expiry_interval, Options, 0),
        receive_maximum => maps:get(receive_maximum, Options, 32),
        conn_props => maps:get(conn_props, Options, #{}),
        connected_at => erlang:system_time(millisecond)
    },
    Id = maps:get(clientid, Info),
    Client0 = #client{
        info = Info,
        conninfo = ConnInfo,
        acknowledges = maps:get(acknowledges, Options, true),
        queue_limit = maps:get(mqueue_len, Options, 1000)
    },
    {Old, Client} = open(Clean, emqx_cm:lookup_channels(global, Id), Client0),
    put(client, Client),
    %% EMQX 5.8 ends the process before while it opens the session, later ones when they have sent CONNACK.
    Early = string:prefix(emqx_release:version(), "5.8") =/= nomatch andalso takeover_end(Old),
    emqx_cm:register_channel(Id, self()),
    emqx_hooks:run('client.connected', [Info, ConnInfo]),
    Old =/= none orelse emqx_hooks:run('session.created', [Info, #{}]),
    Taken = take_over(Old, Early, Client),
    Caller ! {self(), Old =/= none},
    loop(Taken).

%% The process that has the session, or none. As in EMQX, it is subscribed until the new one is, too.
open(_, [], Client) ->
    {none, Client};
open(true, Pids, Client) ->
    [ask_last(Pid, discard) || Pid <- Pids],
    {none, Client};
open(false, [Pid | _], #client{info = #{clientid := ClientId} = Info} = Client) ->
    case ask(Pid, takeover_begin) of
        {Subscriptions, Inflight, Queue} ->
            [emqx_broker:subscribe(Topic, ClientId, Options) || {Topic, Options} <- maps:to_list(Subscriptions)],
            emqx_hooks:run('session.resumed', [Info, #{subscriptions => Subscriptions, is_persistent => true}]),
            {Pid, Client#client{
                subscriptions = Subscriptions, inflight = Inflight, queue = Queue, packet_id = length(Inflight) + 1
            }};
        _ ->
            {none, Client}
    end.

takeover_end(none) -> [];
takeover_end(Pid) -> case ask_last(Pid, takeover_end) of Late when is_list(Late) -> Late; _ -> [] end.

%% What has come to either process meanwhile, each once.
take_over(none, _, Client) -> Client;
take_over(Pid, Early, Client) ->
    Local = mailbox(Client),
    Remote = if is_list(Early) -> Early; true -> takeover_end(Pid) end,
    Ids = [emqx_message:id(Message) || Message <- Remote],
    Only = [Message || Message <- Local, not lists:member(emqx_message:id(Message), Ids)],
    lists:foldl(fun arrived/2, resend(Client), Remote ++ Only).

%% Waits for its end, too.
ask_last(Pid, Request) ->
    Monitor = monitor(process, Pid),
    Answer = ask(Pid, Request),
    receive
        {'DOWN', Monitor, process, _, _} -> Answer
    end.

%% What was under way goes out again, then what waits.
resend(#client{inflight = Inflight} = Client) ->
    [send(emqx_message:set_flag(dup, true, Message), Client) || {_, Message} <- Inflight],
    Seen = [emqx_message:set_flag(dup, true, Message) || {_, Message} <- Inflight],
    dequeue(settle(Client#client{seen = lists:reverse(Seen)})).

loop(Client) ->
    {message_queue_len, Waiting} = process_info(self(), message_queue_len),
    Waiting > ?MAILBOX andalso exit(mailbox_overflow),
    put(client, Client),
    receive
        {call, From, Ref, Request} ->
            case request(Request, Client) of
                {stop, Answer} ->
                    From ! {Ref, Answer};
                {{held, PacketId}, #client{held = Held} = New} ->
                    loop(New#client{held = Held#{PacketId => {From, Ref}}});
                {Answer, New} ->
                    From ! {Ref, Answer},
                    loop(New)
            end;
        {deliver, Topic, Message} ->
            loop(deliver(emqx_broker:filter(Topic, Message), Message, Client));
        {subscribe, Topics} ->
            loop(lists:foldl(fun({Topic, Options}, C) -> do_subscribe(Topic, Options, C) end, Client, Topics));
        {puback, PacketId, Routes, Code} ->
            true = is_list(Routes),
            #client{held = #{PacketId := {From, Ref}} = Held} = Client,
            From ! {Ref, {puback, Code}},
            loop(Client#client{held = maps:remove(PacketId, Held)});
        {disconnect, _Code, _Reason, _Properties} ->
            [From ! {Ref, disconnected} || {From, Ref} <- maps:values(Client#client.held)],
            finish(normal, Client#client{held = #{}});
        {timeout, Ref, Term} ->
            [] = emqx_hooks:run_fold('client.timeout', [Ref, Term], []),
            loop(Client)
    end.

request(seen, #client{seen = Seen} = Client) ->
    {[noted(Message) || Message <- lists:reverse(Seen)], Client};
request(look, #client{seen = Seen, inflight = Inflight} = Client) ->
    {{length(Inflight), [looked_at(Message) || Message <- lists:reverse(Seen)]}, Client};
request(held, #client{held = Held} = Client) ->
    {maps:size(Held), Client};
request({subscribe, Topic, Options}, Client) ->
    {ok, do_subscribe(Topic, Options, Client)};
request({unsubscribe, Filter}, #client{info = Info, subscriptions = Subscriptions} = Client) ->
    Topic = mount(element(1, emqx_topic:parse(Filter)), Info),
    Options = maps:get(Topic, Subscriptions),
    ok = emqx_broker:unsubscribe(Topic),
    emqx_hooks:run('session.unsubscribed', [Info, Topic, Options]),
    {ok, Client#client{subscriptions = maps:remove(Topic, Subscriptions)}};
request({publish, Topic, QoS, Payload, Options}, Client) ->
    do_publish(Topic, QoS, Payload, Options, Client);
request(acknowledge, Client) ->
    {ok, settle(Client#client{acknowledges = true})};
request({acknowledge, Count}, #client{inflight = Inflight} = Client) ->
    {ok, lists:foldl(fun(_, C) -> acknowledged(C) end, Client, lists:sublist(Inflight, Count))};
request(disconnect, #client{info = Info, conninfo = ConnInfo} = Client) ->
    emqx_hooks:run('client.disconnected', [Info, normal, ConnInfo]),
    case maps:get(expiry_interval, ConnInfo) of
        0 -> {stop, finish(normal, Client#client{is_connected = false})};
        _ -> {ok, Client#client{is_connected = false}}
    end;
request({stop, Reason}, Client) ->
    {stop, finish(Reason, Client)};
request(discard, Client) ->
    {stop, finish(discarded, Client)};
request(takeover_begin, #client{conninfo = #{expiry_interval := 0}} = Client) ->
    {stop, finish(takenover, Client, none)};
request(takeover_begin, #client{info = #{clientid := ClientId}} = Client) ->
    emqx_cm:unregister_channel(ClientId, self()),
    #client{subscriptions = Subscriptions, inflight = Inflight, queue = Queue} = Client,
    {{Subscriptions, Inflight, Queue}, Client#client{is_taken_over = true}};
request(takeover_end, #client{pendings = Pendings} = Client) ->
    %% What has come meanwhile goes with it, unless a hook says otherwise.
    [emqx_broker:unsubscribe(Topic) || Topic <- emqx_broker:subscriptions(self())],
    Late = [Message || Message <- mailbox(Client), is_to_queue(Message)],
    {stop, finish(takenover, Client, Pendings ++ Late)}.

mailbox(Client) ->
    receive
        {deliver, Topic, Message} -> [enriched(emqx_broker:filter(Topic, Message), Message, Client) | mailbox(Client)]
    after 0 -> []
    end.

finish(Reason, Client) -> finish(Reason, Client, ok).
finish(Reason, #client{info = #{clientid := ClientId} = Info, conninfo = ConnInfo} = Client, Answer) ->
    emqx_cm:unregister_channel(ClientId, self()),
    Client#client.is_connected andalso emqx_hooks:run('client.disconnected', [Info, Reason, ConnInfo]),
    [emqx_broker:unsubscribe(Topic) || Topic <- emqx_broker:subscriptions(self())],
    case Reason of
        discarded -> emqx_hooks:run('session.discarded', [Info, #{}]);
        takenover -> emqx_hooks:run('session.takenover', [Info, #{}]);
        _ -> emqx_hooks:run('session.terminated', [Info, Reason, #{}])
    end,
    Answer.

do_subscribe(Filter, Options, #client{info = #{clientid := ClientId} = Info, subscriptions = Subscriptions} = Client) ->
    {Parsed, More} = if is_binary(Filter) -> emqx_topic:parse(Filter); true -> {Filter, #{}} end,
    Topic = mount(Parsed, Info),
    IsNew = not is_map_key(Topic, Subscriptions),
    Whole = maps:merge(#{qos => 0, nl => 0, rap => 0, rh => 0}, maps:merge(Options, More)),
    ok = emqx_broker:subscribe(Topic, ClientId, Whole),
    put(client, Client#client{subscriptions = Subscriptions#{Topic => Whole}}),
    emqx_hooks:run('session.subscribed', [Info, Topic, Whole#{is_new => IsNew}]),
    IsSentRetained = is_binary(Topic) andalso maps:get(rh, Whole) < 2,
    [self() ! {deliver, Topic, Message} || IsSentRetained, Message <- emqx_retainer:matching(Topic)],
    Client#client{subscriptions = Subscriptions#{Topic => Whole}}.

mount(Topic, #{mountpoint := undefined}) -> Topic;
mount({share, Group, Topic}, Info) -> {share, Group, mount(Topic, Info)};
mount(Topic, #{mountpoint := Mountpoint}) -> <<Mountpoint/binary, Topic/binary>>.

do_publish(Topic, QoS, Payload, Options, #client{info = Info, conninfo = ConnInfo, packet_id = PacketId} = Client) ->
    #{clientid := ClientId} = Info,
    Headers = #{
        protocol => maps:get(protocol, Info),
        proto_ver => maps:get(proto_ver, ConnInfo),
        username => undefined,
        peerhost => {127, 0, 0, 1},
        properties => maps:get(properties, Options, #{})
    },
    Flags = #{retain => maps:get(retain, Options, false), dup => false},
    Id = maps:get(id, Options, emqx_guid:gen()),
    Message = emqx_message:make(Id, ClientId, QoS, mount(Topic, Info), Payload, Flags, Headers),
    case {emqx_broker:publish(Message), QoS} of
        {disconnect, _} ->
            finish(normal, Client),
            {stop, disconnected};
        {_, 0} ->
            {ok, Client};
        {Routes, 1} ->
            Usual = if Routes =:= [] -> 16#10; true -> 0 end,
            case emqx_hooks:run_fold('message.puback', [PacketId, Message, Routes], Usual) of
                undefined -> {{held, PacketId}, Client#client{packet_id = PacketId + 1}};
                Code -> {{puback, Code}, Client#client{packet_id = PacketId + 1}}
            end;
        {Routes, 2} ->
            {{pubrec, if Routes =:= [] -> 16#10; true -> 0 end}, Client#client{packet_id = PacketId + 1}}
    end.

enriched(Topic, Message, #client{subscriptions = Subscriptions}) ->
    #{qos := QoS, rap := AsPublished} = maps:get(Topic, Subscriptions, #{qos => 1, rap => 0}),
    Lowered = emqx_message:set_qos(min(QoS, emqx_message:qos(Message)), Message),
    case AsPublished =:= 1 orelse emqx_message:get_header(retained, Message, false) of
        true -> Lowered;
        false -> emqx_message:set_flag(retain, false, Lowered)
    end.

deliver(Topic, Message0, #client{info = #{clientid := ClientId} = Info, subscriptions = Subscriptions} = Client) ->
    Message = enriched(Topic, Message0, Client),
    case Subscriptions of
        #{Topic := #{nl := 1}} ->
            case emqx_message:from(Message) of
                ClientId ->
                    emqx_hooks:run('delivery.dropped', [Info, Message, no_local]),
                    Client;
                _ ->
                    arrived(Message, Client)
            end;
        _ ->
            arrived(Message, Client)
    end.

arrived(Message, #client{is_taken_over = true, pendings = Pendings} = Client) ->
    case is_to_queue(Message) of
        true -> Client#client{pendings = Pendings ++ [Message]};
        false -> Client
    end;
arrived(Message, #client{is_connected = false} = Client) ->
    case is_to_queue(Message) of
        true -> enqueue(Message, Client);
        false -> Client
    end;
arrived(Message, #client{inflight = Inflight, conninfo = #{receive_maximum := Most}} = Client) ->
    case emqx_message:qos(Message) of
        0 ->
            send(Message, Client),
            Client#client{seen = [Message | Client#client.seen]};
        _ when length(Inflight) < Most -> settle(sent(Message, Client));
        %% EMQX 6 asks here, too.
        _ -> case is_to_queue(Message) of true -> enqueue(Message, Client); false -> Client end
    end.

is_to_queue(Message) ->
    hd(emqx_release:version()) =:= $5 orelse not emqx_hooks:run_fold('message.nack', [Message], false).

enqueue(Message, #client{queue = Queue, queue_limit = Limit, info = Info} = Client) when length(Queue) >= Limit ->
    [Oldest | Rest] = Queue,
    emqx_hooks:run('delivery.dropped', [Info, Oldest, queue_full]),
    Client#client{queue = Rest ++ [Message]};
enqueue(Message, #client{queue = Queue} = Client) ->
    Client#client{queue = Queue ++ [Message]}.

sent(Message, #client{inflight = Inflight, packet_id = PacketId, seen = Seen} = Client) ->
    send(Message, Client),
    Client#client{
        inflight = Inflight ++ [{PacketId, Message}], packet_id = PacketId + 1, seen = [Message | Seen]
    }.

send(Message, #client{info = #{clientid := ClientId} = Info}) ->
    ets:insert(omp_seen, {{ClientId, erlang:unique_integer([monotonic])}, emqx_message:payload(Message)}),
    emqx_hooks:run_fold('message.delivered', [Info], Message).

noted(Message) ->
    Flags = [Flag || Flag <- [dup, retain], emqx_message:get_flag(Flag, Message)],
    {emqx_message:topic(Message), emqx_message:qos(Message), emqx_message:payload(Message), Flags}.

looked_at(Message) ->
    {Topic, QoS, Payload, Flags} = noted(Message),
    [binary:encode_hex(emqx_message:id(Message)), Topic, QoS, Payload, lists:member(retain, Flags)].

settle(#client{acknowledges = true, inflight = [_ | _]} = Client) -> settle(acknowledged(Client));
settle(Client) -> Client.

acknowledged(#client{inflight = [{_, Message} | Rest], info = Info} = Client) ->
    emqx_hooks:run('message.acked', [Info, Message]),
    dequeue(Client#client{inflight = Rest}).

dequeue(#client{queue = [Message | Rest], inflight = Inflight, conninfo = #{receive_maximum := Most}} = Client) when
    length(Inflight) < Most
->
    settle(dequeue(sent(Message, Client#client{queue = Rest})));
dequeue(Client) ->
    Client.

info_of_self() ->
    #client{info = Info, conninfo = ConnInfo, subscriptions = Subscriptions, is_connected = IsConnected} = get(client),
    #{
        clientinfo => Info,
        conninfo => ConnInfo,
        conn_state => case IsConnected of true -> connected; false -> disconnected end,
        session => #{subscriptions => Subscriptions}
    }.
