%% Processes in EMQX with a session that are no ordinary connections: of a node that is being emptied, and durable ones.
-module(omp_rare).

-export([evicted/2, queued/1, durable/2]).

%% A session that another node has been rid of waits here for its client, and never has a connection.
evicted(ClientId, Subscriptions) ->
    start(ClientId, fun() ->
        [emqx_broker:subscribe(Topic, ClientId, Options) || {Topic, Options} <- maps:to_list(Subscriptions)],
        emqx_hooks:run('session.resumed', [info(ClientId), #{subscriptions => Subscriptions, is_persistent => true}]),
        fun() -> wait([]) end
    end).

wait(Queue) ->
    receive
        {deliver, _, Message} ->
            case emqx_hooks:run_fold('message.nack', [Message], false) of
                true -> wait(Queue);
                false -> wait(Queue ++ [Message])
            end;
        {queued, From} ->
            From ! {self(), Queue},
            wait(Queue)
    end.

%% Payloads of what waits in it.
queued(Pid) ->
    Pid ! {queued, self()},
    receive
        {Pid, Queue} -> [emqx_message:payload(Message) || Message <- Queue]
    end.

%% A durable session that is resumed: the broker does not know it, and it has more to tell of its subscriptions.
durable(ClientId, Subscriptions) ->
    start(ClientId, fun() ->
        Of = fun(_, Options) -> #{id => 1, start_time => 0, current_state => 1, subopts => Options} end,
        emqx_hooks:run('session.resumed', [info(ClientId), #{subscriptions => maps:map(Of, Subscriptions)}]),
        emqx_hooks:run('client.connected', [info(ClientId), #{clientid => ClientId, proto_ver => 5}]),
        fun() -> receive stop -> ok end end
    end).

info(ClientId) -> #{clientid => ClientId, protocol => mqtt, mountpoint => undefined, zone => default}.

start(ClientId, Opens) ->
    Self = self(),
    Pid = spawn(fun() ->
        Then = Opens(),
        emqx_cm:register_channel(ClientId, self()),
        Self ! {self(), opened},
        Then()
    end),
    receive
        {Pid, opened} -> Pid
    end.
