%% The load inside a scripted EMQX: publishers that each wait for their answer, and a subscriber with EMQX's limits.
%%
%% What they do is what EMQX's processes do, hooks and all, and nothing besides: no sockets, no packets.
-module(omp_load).

-export([publish_for/5, publish_count/4, receive_all/3]).

%% As shipped: `max_inflight`, `force_shutdown.max_mailbox_size`. Nothing gets into the queue behind the window.
-define(WINDOW, 32).
-define(MAILBOX, 1000).

%% So many processes, each on a topic of its own, publish for so long; times in ms. Returns the messages that were
%% answered after the warm-up, the microseconds that it took, and the 50th and 99th percentile of the time for one.
publish_for(Publishers, Topic, Bytes, WarmUp, Duration) ->
    Payload = binary:copy(<<"x">>, Bytes),
    Self = self(),
    Start = fun(Number) -> spawn_link(fun() -> publisher(Self, Number, topic(Topic, Number), Payload) end) end,
    Pids = [Start(Number) || Number <- numbers(Publishers)],
    timer:sleep(WarmUp),
    [Pid ! measure || Pid <- Pids],
    Begin = now_us(),
    timer:sleep(Duration),
    [Pid ! stop || Pid <- Pids],
    Elapsed = now_us() - Begin,
    Times = lists:sort(lists:append([receive {Pid, Own} -> Own end || Pid <- Pids])),
    {length(Times), Elapsed, percentile(50, Times), percentile(99, Times)}.

numbers(Count) -> lists:seq(1, Count).

topic(Topic, Number) -> <<Topic/binary, $/, (integer_to_binary(Number))/binary>>.

percentile(Part, Times) -> lists:nth(max(1, length(Times) * Part div 100), Times).

publisher(Caller, Number, Topic, Payload) ->
    Own = publisher(name(Number), Topic, Payload, warming_up, []),
    Caller ! {self(), Own}.

publisher(Name, Topic, Payload, State, Times) ->
    receive
        measure -> publisher(Name, Topic, Payload, measuring, []);
        stop -> Times
    after 0 ->
        Begin = now_us(),
        publish(Name, Topic, Payload),
        Taken = now_us() - Begin,
        publisher(Name, Topic, Payload, State, case State of measuring -> [Taken | Times]; _ -> [] end)
    end.

name(Number) -> <<"publisher ", (integer_to_binary(Number))/binary>>.

%% As a client's process does it: routed, and acknowledged.
publish(Name, Topic, Payload) ->
    Headers = #{protocol => mqtt, proto_ver => 5, username => undefined, properties => #{}},
    Message = emqx_message:make(emqx_guid:gen(), Name, 1, Topic, Payload, #{retain => false, dup => false}, Headers),
    Routes = emqx_broker:publish(Message),
    true = is_list(Routes),
    0 = emqx_hooks:run_fold('message.puback', [1, Message, Routes], 0).

%% So many processes publish so many messages each to one topic. Each payload begins with the publisher and its count.
publish_count(Publishers, Topic, Bytes, Each) ->
    Rest = binary:copy(<<"x">>, Bytes - 8),
    Work = fun(Number) -> [publish(name(Number), Topic, <<Number:32, N:32, Rest/binary>>) || N <- numbers(Each)] end,
    Monitors = [element(2, spawn_monitor(fun() -> Work(Number) end)) || Number <- numbers(Publishers)],
    [receive {'DOWN', Monitor, process, _, normal} -> ok end || Monitor <- Monitors],
    ok.

%% A client connects, subscribes, and acknowledges so many messages: when its window is full, or nothing more has come.
%% Returns the microseconds from SUBSCRIBE on, how many messages of a publisher were passed over and came again, and the
%% most that its mailbox had.
receive_all(ClientId, Topic, Count) ->
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> Self ! {self(), receiver(ClientId, Topic, Count)} end),
    receive
        {Pid, Result} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> error(Reason)
    end.

receiver(ClientId, Topic, Count) ->
    Info = #{clientid => ClientId, username => undefined, protocol => mqtt, mountpoint => undefined, zone => default},
    ConnInfo = #{
        clientid => ClientId,
        proto_name => <<"MQTT">>,
        proto_ver => 5,
        clean_start => true,
        expiry_interval => 0,
        receive_maximum => ?WINDOW,
        conn_props => #{},
        connected_at => erlang:system_time(millisecond)
    },
    emqx_cm:register_channel(ClientId, self()),
    emqx_hooks:run('client.connected', [Info, ConnInfo]),
    Begin = now_us(),
    Options = #{qos => 1, nl => 0, rap => 0, rh => 0},
    ok = emqx_broker:subscribe(Topic, ClientId, Options),
    emqx_hooks:run('session.subscribed', [Info, Topic, Options#{is_new => true}]),
    Order = received(Info, Count, [], {#{}, 0, 0}, 0),
    Elapsed = now_us() - Begin,
    emqx_cm:unregister_channel(ClientId, self()),
    emqx_broker:unsubscribe(Topic),
    emqx_hooks:run('client.disconnected', [Info, normal, ConnInfo]),
    emqx_hooks:run('session.terminated', [Info, normal, #{}]),
    {{_, Missing, Repeated}, Most} = Order,
    {Elapsed, Missing, Repeated, Most}.

received(Info, Left, InFlight, Order, Most0) ->
    {message_queue_len, Waiting} = process_info(self(), message_queue_len),
    Waiting > ?MAILBOX andalso exit(mailbox_overflow),
    Most = max(Most0, Waiting),
    receive
        {deliver, _, Message} ->
            emqx_hooks:run_fold('message.delivered', [Info], Message),
            Noted = noted(emqx_message:payload(Message), Order),
            case length(InFlight) + 1 of
                ?WINDOW -> acknowledged(Info, Left, [Message | InFlight], Noted, Most);
                _ -> received(Info, Left, [Message | InFlight], Noted, Most)
            end;
        {timeout, Ref, Term} ->
            [] = emqx_hooks:run_fold('client.timeout', [Ref, Term], []),
            received(Info, Left, InFlight, Order, Most)
    after case InFlight of [] -> 60000; _ -> 0 end ->
        InFlight =/= [] orelse exit({nothing_comes, {left, Left}}),
        acknowledged(Info, Left, InFlight, Order, Most)
    end.

acknowledged(Info, Left, InFlight, Order, Most) ->
    [emqx_hooks:run('message.acked', [Info, Message]) || Message <- lists:reverse(InFlight)],
    case Left - length(InFlight) of
        0 -> {Order, Most};
        Others -> received(Info, Others, [], Order, Most)
    end.

noted(<<Publisher:32, N:32, _/binary>>, {Last, Missing, Repeated}) ->
    case maps:get(Publisher, Last, 0) of
        Before when N > Before -> {Last#{Publisher => N}, Missing + N - Before - 1, Repeated};
        _ -> {Last, Missing, Repeated + 1}
    end.

now_us() -> erlang:monotonic_time(microsecond).
