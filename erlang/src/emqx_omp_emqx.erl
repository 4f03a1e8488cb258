%% Every call into EMQX, so that what differs between its releases is in one place.
-module(emqx_omp_emqx).

-export([put_hooks/1, delete_hooks/1, version/0, is_six/0, configuration/0, data_directory/0, json/1, from_json/1]).
-export([message/1, message/2, concerns/1, client/1, id/1, topic_of/1, delivered/1]).
-export([mark/1, mark/2, live_mark/1, is_retained/1, refuse/2, matches/2]).
-export([filter/1, topic/1, subscription/2, is_text/1, is_utf8/1, subscriptions/1, unmounted/2, is_shared/1]).
-export([is_gateable/2, is_to_group/1, own_options/1, subscribe/2, subscribe/3, unsubscribe/1, await_out/3]).
-export([channels/1, channels_here/1, is_channel/2, clients/0, client_info/2, retained_id/1]).

%% The application is the package.
-define(APPLICATION, emqx_offline_message_plugin).
%% Before all others.
-define(HIGHEST, 1000).
%% After what changes a message or drops it: rewriting of topics (980), validation (945), transformation (943).
%% Before the retainer (930) and the rules (900).
-define(PUBLISH, 935).
%% The header of ours. Cluster Linking sends headers to other clusters, which refuse a message with an atom that they do
%% not know: there is none in it.
-define(MARK, <<"omp">>).

%%% EMQX itself

%% Hooks that this EMQX does not know are left out.
put_hooks(Hooks) ->
    [put_hook(Name, Callback) || {Name, Callback} <- Hooks],
    ok.

put_hook(Name, {Module, Function}) ->
    try
        emqx_hooks:put(Name, {Module, Function, []}, priority(Name))
    catch
        _:_ when Name =:= 'message.nack' -> ok
    end.

priority('message.publish') -> ?PUBLISH;
priority(_) -> ?HIGHEST.

%% EMQX takes them out later. It has when it has put in a hook afterwards: it does one after the other.
delete_hooks(Hooks) ->
    [emqx_hooks:del(Name, Callback) || {Name, Callback} <- Hooks],
    ok.

version() ->
    unicode:characters_to_binary(emqx_release:version()).

%% EMQX 6 and later: a session that is away can be told not to queue a message, and a configuration can be refused.
is_six() ->
    case string:to_integer(emqx_release:version()) of
        {Major, _} when is_integer(Major) -> Major >= 6;
        _ -> false
    end.

%% The configuration as EMQX keeps it: maps with binary keys.
configuration() ->
    {ok, Version} = application:get_key(?APPLICATION, vsn),
    configuration(emqx_plugins:get_config(iolist_to_binary([atom_to_list(?APPLICATION), $-, Version]))).

%% Before 5.9 with `ok`; where there is none, nothing is configured.
configuration({ok, Configuration}) -> configuration(Configuration);
configuration(Configuration) when is_map(Configuration) -> Configuration;
configuration(_) -> #{}.

%% Our folder, where EMQX has our configuration, too. It is made.
data_directory() ->
    Directory = filename:join([emqx:data_dir(), "plugins", atom_to_list(?APPLICATION)]),
    _ = filelib:ensure_dir(filename:join(Directory, "file")),
    filename:absname(Directory).

json(Term) -> iolist_to_binary(emqx_utils_json:encode(Term)).

%% A map, or `error`.
from_json(Text) ->
    try emqx_utils_json:decode(Text) of
        Map when is_map(Map) -> Map;
        _ -> error
    catch
        _:_ -> error
    end.

%%% Messages. The record differs between releases: only emqx_message knows it.

%% What a frame says of a message.
message(Message) ->
    #{
        id => emqx_message:id(Message),
        timestamp => emqx_message:timestamp(Message),
        qos => emqx_message:qos(Message),
        retain => emqx_message:get_flag(retain, Message, false) =:= true,
        from => name(emqx_message:from(Message)),
        topic => emqx_message:topic(Message),
        payload => iolist_to_binary(emqx_message:payload(Message)),
        properties => emqx_message:get_header(properties, Message, #{})
    }.

%% A message of EMQX, with our mark.
message(#{id := Id, qos := QoS, from := From, topic := Topic, payload := Payload} = Message, Mark) ->
    #{retain := Retain, properties := Properties} = Message,
    Headers = #{properties => Properties, ?MARK => written(Mark)},
    emqx_message:make(Id, From, QoS, Topic, Payload, #{retain => Retain}, Headers).

%% Wills and rules may have atoms.
name(From) when is_atom(From) -> atom_to_binary(From);
name(From) -> From.

%% Whether it may have to be stored, whatever the filters.
concerns(Message) ->
    emqx_message:qos(Message) > 0 andalso
        case emqx_message:topic(Message) of
            <<"$SYS/", _/binary>> -> false;
            _ -> true
        end.

%% Who publishes: an MQTT client with its version, and at which QoS, another client, or none (a will, a rule, the REST
%% API).
client(Message) ->
    case emqx_message:get_header(protocol, Message, undefined) of
        undefined -> none;
        mqtt -> {mqtt, emqx_message:get_header(proto_ver, Message, 4), emqx_message:qos(Message)};
        _ -> other
    end.

id(Message) -> emqx_message:id(Message).

topic_of(Message) -> emqx_message:topic(Message).

%% What is said of a message that goes to a client.
delivered(Message) ->
    #{
        id => emqx_message:id(Message),
        topic => emqx_message:topic(Message),
        qos => emqx_message:qos(Message),
        dup => emqx_message:get_flag(dup, Message, false) =:= true,
        retained => is_retained(Message)
    }.

%% `{stored, Number}`, `{shared, Number}`, `{replayed, 0}` or `{pending, {Node, Time}}` on messages that the engine has;
%% else undefined. The mark of another cluster, by Cluster Linking, is none: this one has not stored the message.
mark(Message) ->
    case emqx_message:get_header(?MARK, Message, undefined) of
        undefined ->
            undefined;
        Mark ->
            case emqx_message:to_map(Message) of
                #{extra := #{link_origin := _}} -> undefined;
                _ -> read(Mark)
            end
    end.

%% The same for a gate: a retained copy has none there, because it is neither a live message nor sent by the replay.
live_mark(Message) ->
    case is_retained(Message) of
        true -> undefined;
        false -> mark(Message)
    end.

%% The header is the retainer's; the flag RETAIN may also be there for Retain As Published.
is_retained(Message) -> emqx_message:get_header(retained, Message, false) =:= true.

mark(Mark, Message) -> emqx_message:set_header(?MARK, written(Mark), Message).

written({stored, Number}) -> {1, Number};
written({shared, Number}) -> {2, Number};
written({replayed, 0}) -> {3, 0};
written({pending, {Node, Time}}) -> {4, {atom_to_binary(Node), Time}}.

read({1, Number}) -> {stored, Number};
read({2, Number}) -> {shared, Number};
read({3, 0}) -> {replayed, 0};
read({4, {Node, Time}}) -> {pending, {node_of(Node), Time}}.

%% This one, or any other.
node_of(Name) ->
    case atom_to_binary(node()) of
        Name -> node();
        _ -> elsewhere
    end.

refuse(Message, Headers) ->
    maps:fold(fun emqx_message:set_header/3, Message, Headers#{allow_publish => false}).

matches(Message, Filters) ->
    Topic = emqx_message:topic(Message),
    lists:any(fun(Filter) -> emqx_topic:match(Topic, Filter) end, Filters).

%%% Subscriptions

%% The text of a filter that may be a shared one.
filter(Filter) when is_binary(Filter) -> Filter;
filter(Share) -> emqx_topic:maybe_format_share(Share).

%% What EMQX has for the text.
topic(Filter) -> element(1, emqx_topic:parse(Filter)).

is_shared(<<"$share/", _/binary>>) -> true;
is_shared(<<"$queue/", _/binary>>) -> true;
is_shared(_) -> false.

%% A durable session has the options among what else it knows of a subscription.
subscription(Filter, #{subopts := Options}) ->
    subscription(Filter, Options);
subscription(Filter, Options) ->
    #{
        filter => shared(filter(Filter), Options),
        qos => maps:get(qos, Options, 0),
        nl => maps:get(nl, Options, 0) =:= 1,
        rap => maps:get(rap, Options, 0) =:= 1,
        rh => maps:get(rh, Options, 0),
        id => identifier(Options)
    }.

%% With a mountpoint a filter may have more bytes than MQTT, and a frame, has room for, and EMQX may let through what is
%% no UTF-8: nothing is stored for it.
is_text(#{filter := Filter}) when byte_size(Filter) >= 65536 ->
    Text = "A subscription is not stored for: its filter has ~b bytes with the mountpoint, more than 65535",
    emqx_omp_log:log(warning, io_lib:format(Text, [byte_size(Filter)])),
    false;
is_text(#{filter := Filter}) ->
    is_utf8(Filter) orelse emqx_omp_log:log(warning, "A subscription is not stored for: its filter is no UTF-8"),
    is_utf8(Filter).

%% As MQTT has it: without U+0000.
is_utf8(Text) -> unicode:characters_to_binary(Text) =:= Text andalso binary:match(Text, <<0>>) =:= nomatch.

%% Before 5.4 the group is in the options only.
shared(Filter, #{share := Group}) when is_binary(Group) ->
    case is_shared(Filter) of
        true -> Filter;
        false -> <<"$share/", Group/binary, $/, Filter/binary>>
    end;
shared(Filter, _) ->
    Filter.

identifier(#{subid := Id}) when is_integer(Id) -> Id;
identifier(_) -> 0.

options(#{qos := QoS, nl := NoLocal, rap := AsPublished, rh := Handling, id := Id}) ->
    Options = #{qos => QoS, nl => number(NoLocal), rap => number(AsPublished), rh => Handling},
    case Id of
        0 -> Options;
        _ -> Options#{subid => Id}
    end.

number(true) -> 1;
number(false) -> 0.

%% Shared ones and those of EMQX's own kinds ($exclusive, $q ...) are not for one client alone. Of $exclusive/t EMQX has
%% the topic `t` and an option; unsubscribing would let go of its lock.
is_gateable(_, #{is_exclusive := true}) -> false;
is_gateable(<<$$, _/binary>>, _) -> false;
is_gateable(Topic, Options) -> is_binary(Topic) andalso is_map(Options).

%% EMQX gives a message to a member of a group for the topic filter of the group, which the client may have subscribed
%% to by itself, too.
is_to_group(Message) -> emqx_message:get_header(redispatch_to, Message, undefined) =/= undefined.

%% What the calling process has subscribed with; undefined: it has not, or its session is a durable one, which the
%% broker does not know. With the client's id, by which EMQX's API shows whose it is.
own_options(Topic) -> emqx_broker:get_subopts(self(), Topic).

%% The calling process, for no client, and for one.
subscribe(Topic, Options) -> emqx_broker:subscribe(Topic, maps:remove(shard, Options)).

subscribe(Topic, ClientId, Options) -> emqx_broker:subscribe(Topic, ClientId, maps:remove(shard, Options)).

unsubscribe(Topic) -> emqx_broker:unsubscribe(Topic).

%% Looks until the calling process is given no messages for the topic any more.
await_out(Topic, Options, Deadline) ->
    Subscribers =
        case Options of
            #{shard := Shard} when Shard > 0 -> emqx_broker:subscribers({shard, Topic, Shard});
            _ -> emqx_broker:subscribers(Topic)
        end,
    case lists:member(self(), Subscribers) andalso erlang:monotonic_time(millisecond) < Deadline of
        true ->
            timer:sleep(1),
            await_out(Topic, Options, Deadline);
        false ->
            ok
    end.

%%% Clients

channels(ClientId) -> emqx_cm:lookup_channels(ClientId).

%% Those of this node. What all nodes know together is late on a replicant.
channels_here(ClientId) -> emqx_cm:lookup_channels(local, ClientId).

%% Whether the process of this node has its session, and no other has begun to take it over.
is_channel(ClientId, Pid) -> lists:member(Pid, channels_here(ClientId)).

clients() -> emqx_cm:all_client_ids().

client_info(ClientId, Pid) -> emqx_cm:get_chan_info(ClientId, Pid).

%% What EMQX is to subscribe for the client, which puts the mountpoint on again; denied: it is not allowed.
unmounted(ClientInfo, #{filter := Filter, qos := QoS} = Subscription) ->
    Topic = emqx_mountpoint:unmount(maps:get(mountpoint, ClientInfo, undefined), topic(Filter)),
    case emqx_access_control:authorize(ClientInfo, #{action_type => subscribe, qos => QoS}, real_topic(Topic)) of
        allow -> {Topic, options(Subscription)};
        deny -> denied
    end.

real_topic({share, _Group, Topic}) -> Topic;
real_topic(Topic) -> Topic.

%% Those of a session, each with its topic: as session.resumed has them, or emqx_cm of a client.
subscriptions(#{subscriptions := Subscriptions}) ->
    All = [{Topic, subscription(Topic, Options)} || {Topic, Options} <- maps:to_list(Subscriptions)],
    [One || {_, Subscription} = One <- All, is_text(Subscription)];
subscriptions(#{session := Session}) when is_list(Session) -> subscriptions(maps:from_list(Session));
subscriptions(#{session := Session}) when is_map(Session) -> subscriptions(Session);
subscriptions(_) -> [].

%% The id of the message that is retained for the topic; undefined: none.
retained_id(Topic) ->
    try emqx_retainer:read_message(Topic) of
        {ok, [Message | _]} -> emqx_message:id(Message);
        _ -> undefined
    catch
        _:_ -> undefined
    end.
